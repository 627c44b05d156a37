"""Breakers and clocks at work, and counts that return to zero whatever happens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.router.doubles import Play, Wire, home, request
from tests.router.reading import read_stream
from tests.router.scene import NoDice, Scene, homes, models, timeouts
from tests.thoroughness import examples

from hoonify_router.completion import Completion
from hoonify_router.errors import (
    EngineDead,
    FirstTokenTimeout,
    IdleTimeout,
    InvalidRequest,
    Overloaded,
    TotalTimeout,
)
from hoonify_router.reply import Reply
from hoonify_router.types import RoutingTable

Acts = dict[str, Any]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait between two homes."""
    monkeypatch.setattr("hoonify_router.serving.random", NoDice())


# ---------------------------------------------------------------- breakers


async def test_a_home_that_keeps_failing_costs_nobody_an_attempt() -> None:
    """After five failures it is left alone; when it answers its probe, it is back."""
    scene = Scene(homes(2), parrot_0=EngineDead("boom"))
    for _ in range(12):
        assert (await scene.ask())[0].status == 200
    assert scene.asked.count("parrot/0") == 5
    breaker = scene.places["parrot/0"].breaker
    assert breaker.state == "open"
    breaker.retry_at = 0.0
    await scene.ask()
    await scene.ask()
    assert scene.asked.count("parrot/0") == 6
    assert breaker.state == "open"
    scene.acts["parrot/0"] = "back"
    breaker.retry_at = 0.0
    for _ in range(4):
        await scene.ask()
    assert breaker.closed
    assert scene.asked[-4:].count("parrot/0") == 2


async def test_when_all_homes_are_left_alone_the_client_is_told_when_to_come_back() -> None:
    """Nobody is asked; with a fallback, it answers."""
    scene = Scene([home()], parrot=EngineDead("boom"))
    for _ in range(5):
        await scene.ask()
    asked = len(scene.asked)
    wire, ctx = await scene.ask()
    assert len(scene.asked) == asked
    assert (wire.status, ctx.attempts) == (503, 0)
    assert wire.headers["retry-after"] == "5"
    assert "left alone" in wire.json["error"]["message"]


async def test_exactly_one_request_probes_while_others_go_elsewhere() -> None:
    """Twenty come at once; a probe whose client leaves gives its place to the next one."""
    gate = asyncio.Event()

    async def slow(play: Play) -> None:
        await gate.wait()
        play.say("late")

    scene = Scene(homes(2), parrot_0=EngineDead("boom"))
    while scene.places["parrot/0"].breaker.closed:
        await scene.ask()
    scene.acts["parrot/0"] = slow
    breaker = scene.places["parrot/0"].breaker
    breaker.retry_at = 0.0
    before = scene.asked.count("parrot/0")
    wires = [Wire() for _ in range(20)]
    tasks = []
    for wire in wires:
        ctx = request()
        infer = scene.gateway.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
        tasks.append(asyncio.ensure_future(infer))
    while sum(task.done() for task in tasks) < 19:  # noqa: ASYNC110 - tasks end by themselves
        await asyncio.sleep(0)
    assert scene.asked.count("parrot/0") == before + 1
    assert breaker.state == "half-open"
    next(task for task in tasks if not task.done()).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert scene.in_flight == 0
    assert breaker.state == "open"
    gate.set()
    await scene.ask()
    await scene.ask()
    assert breaker.closed


async def test_who_comes_too_late_to_probe_goes_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it took breath, another request became the probe; it costs no attempt."""
    scene = Scene(homes(3), parrot_0=EngineDead("boom"), parrot_1=EngineDead("boom"))
    place = scene.places["parrot/1"]
    for _ in range(5):
        place.leave(place.enter(_nothing()), EngineDead("boom"))
    place.breaker.retry_at = 0.0

    async def meanwhile(seconds: float) -> None:
        if place.breaker.state == "open":
            place.enter(_nothing())
            place.in_flight -= 1

    monkeypatch.setattr("hoonify_router.serving.asyncio.sleep", meanwhile)
    wire, ctx = await scene.ask()
    assert wire.status == 200
    assert scene.asked == ["parrot/0", "parrot/2"]
    assert ctx.attempts == 2


def _nothing() -> Any:
    return Completion(None, ("x", 1, "parrot"), 1, lambda: None)  # type: ignore[arg-type]


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("stream", [False, True])
async def test_a_silent_home_is_left_for_another(stream: bool) -> None:
    """Before its first token; its slot is given back."""
    scene = Scene(homes(2), models(parrot=timeouts(first_token=0.01)), parrot_0=lambda play: None)
    wire, _ = await scene.ask(stream=stream)
    assert wire.status == 200
    assert scene.stage.plays[0].cancelled == 1


async def test_silence_after_the_first_token_ends_a_stream() -> None:
    """With an error event that says which clock it was."""
    scene = Scene(
        homes(2), models(parrot=timeouts(idle=0.01)), parrot_0=lambda play: play.answer.text("He")
    )
    wire, ctx = await scene.ask(stream=True)
    read = read_stream(wire.body, with_usage=False)
    assert read.error is not None
    assert read.error["code"] == "idle_timeout"
    assert isinstance(ctx.error, IdleTimeout)
    wire, _ = await scene.ask()  # goes to the other home
    assert wire.status == 200


@pytest.mark.parametrize("text", ["", "He"])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_total_is_final(text: str, stream: bool) -> None:
    """Nobody else is asked: there is no time left for it."""

    def begin(play: Play) -> None:
        play.answer.text(text)

    scene = Scene(homes(2), models(parrot=timeouts(total=0.02)), parrot_0=begin)
    wire, ctx = await scene.ask(stream=stream)
    assert scene.asked == ["parrot/0"]
    assert isinstance(ctx.error, TotalTimeout)
    if not (stream and text):
        assert (wire.status, wire.json["error"]["code"]) == (504, "total_timeout")
    else:
        assert b'"code":"total_timeout"' in wire.body
    assert scene.places["parrot/0"].breaker._failures == 0


@pytest.mark.pure
async def test_the_total_counts_over_all_attempts() -> None:
    """From the request's arrival: a second home has only what the first one has left."""
    scene = Scene(
        homes(2),
        models(parrot=timeouts(total=50)),
        parrot_0=EngineDead("boom"),
        parrot_1=lambda play: None,
    )
    wire, ctx = Wire(), request()
    ctx.started -= 49.98
    await scene.gateway.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    assert (wire.status, wire.json["error"]["code"]) == (504, "total_timeout")
    assert scene.asked == ["parrot/0", "parrot/1"]


async def test_no_home_is_asked_when_there_is_no_time_left_for_it() -> None:
    """The first one took it all."""
    scene = Scene(homes(2), models(parrot=timeouts(total=50)), parrot_0=EngineDead("boom"))
    wire, ctx = Wire(), request()
    ctx.started -= 51
    await scene.gateway.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    assert wire.json["error"]["code"] == "total_timeout"
    assert scene.asked == ["parrot/0"]


async def test_a_fallback_has_the_limits_of_its_own_model() -> None:
    """Its engine may be a slower one, or a quicker one."""
    config = models(
        parrot={"fallback": ["crow"], **timeouts(connect=1)},
        crow=timeouts(connect=2, first_token=0.01),
    )
    acts: Acts = {"parrot": EngineDead("boom"), "crow": lambda play: None}
    scene = Scene([home("parrot"), home("crow")], config, **acts)
    wire, _ = await scene.ask()
    assert wire.json["error"]["message"] == "boom"
    assert [play.job.connect for play in scene.stage.plays] == [1, 2]
    assert isinstance(scene.stage.plays[1].answer.error, FirstTokenTimeout)


async def test_a_stream_that_pings_have_opened_fails_over_without_a_trace() -> None:
    """Status and headers are out by then; the second home's stream is a whole one."""
    asked = asyncio.Event()

    def wait(play: Play) -> None:
        asked.set()

    scene = Scene(homes(2), parrot_0=wait)
    wire, ctx = Wire(), request({"stream": True})
    reply = Reply(wire, ctx.response_headers)
    task = asyncio.ensure_future(scene.gateway.pipeline.infer(ctx, reply, "chat"))
    await asked.wait()
    reply.ping()
    scene.stage.plays[0].answer.fail(EngineDead("boom"))
    await task
    assert wire.status == 200
    pings, _, rest = wire.body.partition(b"\n\n")
    assert pings.startswith(b":")
    assert read_stream(rest, with_usage=False).texts == {0: "hello"}
    assert ctx.attempts == 2


# ---------------------------------------------------------------- everything at once

ACTS = st.sampled_from(
    ["hello", "wait", EngineDead("a"), Overloaded("b"), InvalidRequest("c"), ("d", EngineDead("d"))]
)


@settings(deadline=None, max_examples=examples(60))
@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(ACTS, min_size=1, max_size=3), st.integers(0, 4)),
        max_size=12,
    )
)
async def test_counts_return_to_zero_whatever_happens(
    visits: list[tuple[bool, list[Any], int]],
) -> None:
    """Random failures, answers, waits and cancellations: no home keeps a request that is gone."""
    plans: dict[str, list[Any]] = {}
    scene = Scene([*homes(2), home("crow")], models(parrot={"fallback": ["crow"]}, crow={}))

    def act(play: Play) -> None:
        plan = plans[play.job.request_id]
        what = plan.pop(0) if plan else "hello"
        if what == "hello":
            play.say("hello")
        elif isinstance(what, tuple):
            play.answer.text(what[0])
            play.answer.fail(what[1])
        elif what != "wait":
            play.answer.fail(what)

    scene.stage.script = act
    tasks, replies = [], []
    for number, (stream, plan, leaves) in enumerate(visits):
        ctx = request({"stream": stream})
        ctx.request_id = f"req-{number}"
        plans[ctx.request_id] = list(plan)
        reply = Reply(Wire(), ctx.response_headers)
        replies.append(reply)
        infer = scene.gateway.pipeline.infer(ctx, reply, "chat")
        task = asyncio.ensure_future(infer)
        tasks.append(task)
        for _ in range(leaves):
            await asyncio.sleep(0)
        if leaves == 1:
            task.cancel()
        elif leaves == 2:
            reply.lost()
    for reply in replies:
        reply.lost()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert scene.in_flight == 0
    for place in scene.places.values():
        assert place.breaker.state != "half-open"
    scene.gateway.on_table(RoutingTable(2, tuple(scene.views)))
