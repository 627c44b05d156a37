"""The frame around a request: every middleware sees it once and settles once, whatever happens."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.router.doubles import Play, Stage, Wire, gateway, home, notes, request
from tests.router.reading import read_stream

from hoonify_router.api import Phase, Principal, RequestContext, Result
from hoonify_router.errors import Cancelled, EngineDead, ModelUnavailable, RateLimited, RouterError
from hoonify_router.reply import Reply
from hoonify_router.types import Usage

PHASES = {
    "auth": Phase.AUTHENTICATE,
    "admit": Phase.ADMIT,
    "transform": Phase.TRANSFORM,
    "observe": Phase.OBSERVE,
}


def all_phases(diary: list[str], **does: dict[str, Any]) -> list[Any]:
    """Return one note-taking middleware per phase; ``does`` says what some of them do."""
    return [notes(phase, name, diary, **does.get(name, {})) for name, phase in PHASES.items()]


async def run(
    stage: Stage, middleware: list[Any], ctx: RequestContext | None = None
) -> tuple[Any, ...]:
    """Send one request and return what was written, and its context."""
    wire, ctx = Wire(), ctx or request()
    await gateway(stage, middleware).pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    return wire, ctx


async def test_phases_come_in_order_and_settle_in_reverse() -> None:
    """However the list was written; the end is written last."""
    diary: list[str] = []

    def script(play: Play) -> None:
        diary.append("serve")
        play.say("a", "b")

    def look(ctx: RequestContext) -> None:
        tokens = ctx.usage and ctx.usage.completion_tokens
        diary.append(f"{ctx.status} {tokens} {ctx.finish_reason} {bool(ctx.first_token_at)}")

    middleware = all_phases(diary, observe={"on_finally": look})
    wire, ctx = await run(Stage(script), middleware[::-1])
    assert diary == [
        "auth sees",
        "admit sees",
        "transform sees",
        "observe sees",
        "serve",
        "observe settles",
        "200 2 stop True",
        "transform settles",
        "admit settles",
        "auth settles",
    ]
    assert wire.status == 200
    assert wire.json["choices"][0]["message"]["content"] == "ab"
    assert ctx.home is not None
    assert ctx.error is None


@pytest.mark.parametrize("stream", [False, True])
async def test_the_client_sees_the_end_after_everything_is_settled(stream: bool) -> None:
    """A record that is written when a request settles is there before its answer is complete."""
    gate, settling = asyncio.Event(), asyncio.Event()

    async def write_record(ctx: RequestContext) -> None:
        settling.set()
        await gate.wait()

    middleware = all_phases([], admit={"on_finally": write_record})
    made = gateway(Stage(lambda play: play.say("a")), middleware)
    wire, ctx = Wire(), request({"stream": stream})
    task = asyncio.ensure_future(
        made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    )
    await settling.wait()
    assert b"[DONE]" not in wire.data
    assert b'"finish_reason":"stop"' not in wire.data
    assert stream == bool(wire.data)
    gate.set()
    await task
    assert b'"finish_reason":"stop"' in wire.data


@pytest.mark.parametrize("name", list(PHASES))
@pytest.mark.parametrize("waits", [False, True])
async def test_a_refusal_in_any_phase_stops_the_request(name: str, waits: bool) -> None:
    """Those who saw it settle, an observer sees the refused ones, too."""
    diary: list[str] = []

    def refuse(ctx: RequestContext) -> None:
        raise RateLimited("slow down", retry_after=7)

    async def refuse_later(ctx: RequestContext) -> None:
        await asyncio.sleep(0)
        refuse(ctx)

    stage = Stage(lambda play: play.say("a"))
    does = {name: {"on_request": refuse_later if waits else refuse}}
    wire, ctx = await run(stage, all_phases(diary, **does))
    names = list(PHASES)
    seen = [*names[: names.index(name) + 1]]
    if "observe" not in seen:
        seen.append("observe")
    assert diary == [f"{n} sees" for n in seen] + [f"{n} settles" for n in reversed(seen)]
    assert stage.plays == []
    assert (wire.status, ctx.status) == (429, 429)
    assert wire.headers["retry-after"] == "7"
    assert wire.json["error"]["code"] == "rate_limit_exceeded"


async def test_a_malformed_request_passes_the_limits_first() -> None:
    """It counts as one request; what is wrong with it is told after that."""
    diary: list[str] = []
    wire, ctx = await run(Stage(), all_phases(diary), request(b"{"))
    assert diary[:3] == ["auth sees", "admit sees", "observe sees"]
    assert wire.status == 400
    assert wire.json["error"]["code"] == "invalid_json"
    assert ctx.request is None


async def test_an_invalid_request_is_parsed_when_the_limits_see_it() -> None:
    """They may want to know the model."""
    models = []
    middleware = all_phases([], admit={"on_request": lambda ctx: models.append(ctx.request.model)})
    wire, _ = await run(Stage(), middleware, request({"top_logprobs": 3}))
    assert models == ["parrot"]
    assert wire.status == 422


async def test_headers_of_middleware_are_on_every_answer() -> None:
    """Answers, streams and errors; values cannot break the head."""

    def limits(ctx: RequestContext) -> None:
        ctx.response_headers["x-ratelimit-remaining-requests"] = "5"
        ctx.response_headers["x-evil"] = "a\r\nset-cookie: b"

    for fields, status in (({}, 200), ({"stream": True}, 200), ({"model": "none"}, 404)):
        middleware = all_phases([], admit={"on_request": limits})
        wire, _ = await run(Stage(lambda play: play.say("a")), middleware, request(fields))
        assert wire.status == status
        assert wire.headers["x-ratelimit-remaining-requests"] == "5"
        assert wire.headers["x-request-id"] == "req-1"
        assert wire.headers["x-evil"] == "aset-cookie: b"
        assert "set-cookie" not in wire.headers


async def test_a_header_from_the_end_of_a_request_is_on_plain_answers() -> None:
    """What was settled with the real usage can still be told."""

    def settle(ctx: RequestContext) -> None:
        ctx.response_headers["x-left"] = str(ctx.usage and ctx.usage.completion_tokens)

    middleware = all_phases([], admit={"on_finally": settle})
    wire, _ = await run(Stage(lambda play: play.say("a", "b")), middleware)
    assert wire.headers["x-left"] == "2"


async def test_a_bug_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The log has it, with the request's id."""
    diary: list[str] = []

    def oops(ctx: RequestContext) -> None:
        raise ZeroDivisionError("secret detail")

    wire, _ = await run(Stage(), all_phases(diary, transform={"on_request": oops}))
    assert wire.status == 500
    assert wire.json["error"]["code"] == "internal_error"
    assert b"secret" not in wire.data
    assert "secret detail" in caplog.text
    assert "in middleware 'transform'" in caplog.text
    assert "req-1" in caplog.text
    assert diary.count("admit settles") == 1


async def test_middleware_that_fails_to_settle_disturbs_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At once or later; the others settle, the client gets its answer."""
    diary: list[str] = []

    def oops(ctx: RequestContext) -> None:
        raise ZeroDivisionError("one")

    async def oops_later(ctx: RequestContext) -> None:
        raise ZeroDivisionError("two")

    does = {"observe": {"on_finally": oops}, "admit": {"on_finally": oops_later}}
    wire, _ = await run(Stage(lambda play: play.say("a")), all_phases(diary, **does))
    assert wire.status == 200
    assert diary[-4:] == [f"{n} settles" for n in ("observe", "transform", "admit", "auth")]
    for name in ("observe", "admit"):
        assert caplog.text.count(f"middleware '{name}' failed to settle") == 1


async def test_changed_requests_are_sent_as_they_are_now() -> None:
    """With a transform in the pipeline the client's own bytes are not used."""

    def shorten(ctx: RequestContext) -> None:
        assert ctx.request is not None
        ctx.request.max_tokens = 7

    stage = Stage(lambda play: play.say("a"))
    await run(stage, all_phases([], transform={"on_request": shorten}))
    assert stage.plays[0].job.body is None
    assert stage.plays[0].job.request.max_tokens == 7
    stage = Stage(lambda play: play.say("a"))
    await run(stage, [])
    assert stage.plays[0].job.body is not None


async def test_a_key_may_use_its_models_only() -> None:
    """And needs the scope for asking models at all."""
    for principal, code in (
        (Principal("k", models=("crow*",)), "model_not_allowed"),
        (Principal("k", scopes=frozenset()), "scope_missing"),
        (Principal("k", models=("x", "par*")), None),
    ):
        middleware = all_phases(
            [], auth={"on_request": lambda ctx, p=principal: setattr(ctx, "principal", p)}
        )
        wire, _ = await run(Stage(lambda play: play.say("a")), middleware)
        assert wire.status == (200 if code is None else 403)
        if code is not None:
            assert wire.json["error"]["code"] == code


# ------------------------------------------------------------ clients that leave


@pytest.mark.parametrize("where", ["auth", "admit", "transform", "observe", "serve", "settle"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_may_leave_anywhere(where: str, stream: bool) -> None:
    """Whoever saw the request settles once, the home hears of it, nothing is written."""
    diary: list[str] = []
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def wait(ctx: RequestContext) -> None:
        arrived.set()
        await gate.wait()

    does: dict[str, Any] = {}
    if where == "settle":
        does["transform"] = {"on_finally": wait}
    elif where != "serve":
        does[where] = {"on_request": wait}
    stage = Stage((lambda play: play.say("a")) if where == "settle" else None)
    made = gateway(stage, all_phases(diary, **does))
    wire, ctx = Wire(), request({"stream": stream})
    reply = Reply(wire, ctx.response_headers)
    task = asyncio.ensure_future(made.pipeline.infer(ctx, reply, "chat"))
    await (stage.started if where == "serve" else arrived).wait()
    await asyncio.sleep(0)
    written = wire.data
    wire.closing = True
    reply.lost()
    if where == "serve":
        assert stage.plays[0].cancelled, "the home hears of it at once"
    task.cancel()
    await asyncio.wait([task])
    gate.set()
    assert await made.pipeline.drain(5)
    names = [name for name in PHASES if f"{name} sees" in diary]
    assert len(names) == (list(PHASES).index(where) + 1 if where in PHASES else 4)
    for name in names:
        assert diary.count(f"{name} settles") == 1
    assert wire.data == written
    if where == "settle":
        assert ctx.status == 200
    else:
        assert isinstance(ctx.error, Cancelled)
        assert ctx.status == 499


async def test_a_client_that_leaves_without_being_cancelled_is_noticed() -> None:
    """The reply's word is enough, no task needs to be cancelled."""
    diary: list[str] = []
    stage = Stage()
    made = gateway(stage, all_phases(diary))
    wire, ctx = Wire(), request({"stream": True})
    reply = Reply(wire, ctx.response_headers)
    task = asyncio.ensure_future(made.pipeline.infer(ctx, reply, "chat"))
    await stage.started.wait()
    await asyncio.sleep(0)
    stage.plays[0].answer.text("a")
    wire.closing = True
    reply.lost()
    await task
    assert stage.plays[0].cancelled
    assert isinstance(ctx.error, Cancelled)
    assert "auth settles" not in diary  # what it has cost is not known yet
    assert stage.plays[0].job.released is not None
    stage.plays[0].job.released(Usage(3, 2))
    assert await made.pipeline.drain(5)
    assert diary.count("auth settles") == 1
    assert ctx.usage == Usage(3, 2)


@settings(deadline=None)  # a machine may be busy
@given(
    st.sampled_from(["ok", "early", "late", "bug"]),
    st.lists(st.integers(0, 6), max_size=3),
    st.booleans(),
    st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_everybody_settles_once_whatever_happens(
    outcome: str, cancels: list[int], stream: bool, waits: list[bool]
) -> None:
    """Random failures, random cancellations, random waits: no slot can leak."""

    async def play() -> None:
        diary: list[str] = []

        async def pause(ctx: RequestContext) -> None:
            await asyncio.sleep(0)

        does = {
            name: {
                "on_request": pause if waits[place] else None,
                "on_finally": pause if waits[place + 4] else None,
            }
            for place, name in enumerate(PHASES)
        }

        async def script(act: Play) -> None:
            await asyncio.sleep(0)
            if outcome == "bug":
                raise ZeroDivisionError
            if outcome == "late":
                act.answer.text("a")
            if outcome == "ok":
                act.say("a")
            else:
                act.answer.fail(EngineDead("gone"))

        made = gateway(Stage(script), all_phases(diary, **does))
        ctx, wire = request({"stream": stream}), Wire()
        reply = Reply(wire, ctx.response_headers)
        task = asyncio.ensure_future(made.pipeline.infer(ctx, reply, "chat"))
        for turns in cancels:
            for _ in range(turns):
                await asyncio.sleep(0)
            if not task.done():
                wire.closing = True
                reply.lost()
                task.cancel()
        await asyncio.wait([task])
        assert await made.pipeline.drain(5)
        for name in PHASES:
            assert diary.count(f"{name} settles") == diary.count(f"{name} sees") <= 1
        if not cancels and outcome != "ok":
            assert ctx.error is not None

    logging.disable(logging.CRITICAL)
    try:
        asyncio.run(play())
    finally:
        logging.disable(logging.NOTSET)


# ------------------------------------------------------------ homes that fail


async def test_another_home_is_asked_before_the_client_has_read_anything() -> None:
    """The client notices nothing."""

    def script(play: Play) -> None:
        if play.job.home.id == "parrot/0":
            play.answer.fail(EngineDead("gone"))
        else:
            play.say("a")

    stage = Stage(script)
    homes = [home(id="parrot/0"), home(id="parrot/1")]
    made = gateway(stage, homes=homes)
    for stream in (False, True):
        for _ in range(4):
            wire, ctx = Wire(), request({"stream": stream})
            await made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
            assert wire.status == 200
            assert ctx.home is not None
            assert ctx.home.id == "parrot/1"
            if stream:
                assert read_stream(wire.body, with_usage=False).texts == {0: "a"}


async def test_when_all_homes_fail_the_last_failure_is_told() -> None:
    """As a real status."""
    stage = Stage(lambda play: play.answer.fail(EngineDead("gone")))
    made = gateway(stage, homes=[home(id="parrot/0"), home(id="parrot/1")])
    wire, ctx = Wire(), request({"stream": True})
    await made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    assert wire.status == 503
    assert wire.json["error"]["message"] == "gone"
    assert len(stage.plays) == 2


@pytest.mark.parametrize("error", [RouterError("bug"), RateLimited("no")])
async def test_some_failures_are_not_mended_by_another_home(error: RouterError) -> None:
    """They would come again."""
    stage = Stage(lambda play: play.answer.fail(error))
    made = gateway(stage, homes=[home(id="parrot/0"), home(id="parrot/1")])
    wire, ctx = Wire(), request()
    await made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    assert wire.status == error.status
    assert len(stage.plays) == 1


async def test_after_the_first_word_no_other_home_is_asked() -> None:
    """The stream ends with an error event and [DONE]."""

    def script(play: Play) -> None:
        play.answer.text("a")
        play.answer.fail(EngineDead("gone"))

    stage = Stage(script)
    made = gateway(stage, homes=[home(id="parrot/0"), home(id="parrot/1")])
    wire, ctx = Wire(), request({"stream": True})
    await made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    read = read_stream(wire.body, with_usage=False)
    assert read.error is not None
    assert read.error["message"] == "gone"
    assert len(stage.plays) == 1
    assert ctx.status == 200
    assert isinstance(ctx.error, EngineDead)


async def test_an_answer_that_breaks_its_own_rules_is_cancelled() -> None:
    """Its engine would go on otherwise."""

    def script(play: Play) -> None:
        play.answer.finish("stop")
        play.answer.text("late")

    stage = Stage(script)
    wire, _ = await run(stage, [])
    assert wire.status == 503
    assert stage.plays[0].cancelled


# ------------------------------------------------------------ the end


async def test_a_router_that_stops_refuses_and_waits() -> None:
    """What is under way ends, what comes is told to go elsewhere."""
    stage = Stage()
    made = gateway(stage)
    wire, ctx = Wire(), request()
    running = asyncio.ensure_future(
        made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    )
    await stage.started.wait()
    draining = asyncio.ensure_future(made.pipeline.drain(60))
    await asyncio.sleep(0)
    late, late_ctx = Wire(), request()
    await made.pipeline.infer(late_ctx, Reply(late, late_ctx.response_headers), "chat")
    assert late.status == 503
    assert late.headers["connection"] == "close"
    assert not draining.done()
    stage.plays[0].say("a")
    assert await draining
    await running
    assert wire.status == 200
    assert wire.headers["connection"] == "close"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("hurry", ["no", "before", "meanwhile"])
async def test_what_does_not_end_in_time_is_told_so(stream: bool, hurry: str) -> None:
    """By a status of its own, or by the last event of its stream; and its engine is free."""
    ended: list[str] = []
    stage = Stage()
    made = gateway(
        stage, [notes(Phase.OBSERVE, "record", [], on_finally=lambda ctx: ended.append("settled"))]
    )
    wire, ctx = Wire(), request({"stream": stream})
    running = asyncio.ensure_future(
        made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    )
    await stage.started.wait()
    await asyncio.sleep(0)
    if stream:
        stage.plays[0].answer.text("hel")
    if hurry == "before":
        made.hurry()
    draining = asyncio.ensure_future(made.pipeline.drain(0.01 if hurry == "no" else 600))
    if hurry == "meanwhile":
        await asyncio.sleep(0)
        made.hurry()
    assert not await draining
    await running
    if stream:
        *_, error, done, _ = wire.body.split(b"\n\n")
        assert b"shutting down" in error
        assert done == b"data: [DONE]"
    else:
        assert wire.status == 503
        assert wire.headers["retry-after"] == "1"
    assert ended == ["settled"]
    assert isinstance(ctx.error, ModelUnavailable)
    assert stage.plays[0].cancelled
    assert made.pipeline.cut_streams == 0


async def test_reads_pass_the_same_middleware() -> None:
    """All but the one that changes chat requests."""
    diary: list[str] = []
    made = gateway(Stage(), all_phases(diary))
    wire, ctx = Wire(), request()
    reply = Reply(wire, ctx.response_headers)
    await made.pipeline.serve(ctx, reply, lambda ctx: Result({"a": 1}, 201))
    assert wire.json == {"a": 1}
    assert ctx.status == 201
    assert diary == [
        *(f"{name} sees" for name in ("auth", "admit", "observe")),
        *(f"{name} settles" for name in ("observe", "admit", "auth")),
    ]
