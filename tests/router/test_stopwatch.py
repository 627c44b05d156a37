"""How long requests are in each middleware, and what a gateway tells of itself."""

from __future__ import annotations

import asyncio

import pytest
from tests.router.doubles import Play, Stage, Wire, gateway, home, notes, request

from hoonify_router.api import Measurement, Middleware, MiddlewareTime, Phase, RequestContext
from hoonify_router.errors import EngineDead, ModelUnavailable, PermissionDenied, RouterError
from hoonify_router.gateway import Gateway
from hoonify_router.reply import Reply


def answer(play: Play) -> None:
    play.say("hello")


async def ask(made: Gateway, **body: object) -> tuple[Wire, RequestContext]:
    wire, ctx = Wire(), request(body)
    await made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    return wire, ctx


def times(made: Gateway) -> dict[tuple[str, str], MiddlewareTime]:
    return {(one.name, one.phase): one for one in made.vitals().middleware}


async def test_each_middleware_is_timed_by_phase() -> None:
    """On the way in and when it settles, its waiting included."""

    async def wait(ctx: RequestContext) -> None:
        await asyncio.sleep(0.01)

    slow = notes(Phase.ADMIT, "slow", [], on_request=wait, on_finally=wait)
    quick = notes(Phase.OBSERVE, "quick", [])
    made = gateway(Stage(answer), [slow, quick])
    for _ in range(2):
        await ask(made)
    told = times(made)
    assert set(told) == {
        *{("slow", "admit"), ("slow", "settle")},
        *{("quick", "observe"), ("quick", "settle")},
    }
    assert {one.calls for one in told.values()} == {2}
    for phase in ("admit", "settle"):
        assert told["slow", phase].seconds > 0.015
    assert 0 < told["quick", "observe"].seconds < 0.01


async def test_one_that_refuses_or_fails_is_timed_too() -> None:
    """Those behind it were not asked."""

    def refuse(ctx: RequestContext) -> None:
        raise PermissionDenied("no")

    def fail(ctx: RequestContext) -> None:
        raise ZeroDivisionError

    strict = notes(Phase.AUTHENTICATE, "strict", [], on_request=refuse, on_finally=fail)
    behind = notes(Phase.ADMIT, "behind", [])
    made = gateway(Stage(answer), [strict, behind])
    await ask(made)
    told = times(made)
    assert told["strict", "authenticate"].calls == told["strict", "settle"].calls == 1
    assert told["behind", "admit"].calls == 0


async def test_a_gateway_tells_of_its_homes() -> None:
    """What is there now, and whether it may be asked."""
    stage = Stage()
    made = gateway(stage, homes=[home(id="parrot/0"), home(id="parrot/1", state="failed")])
    assert [one.in_flight for one in made.vitals().homes] == [0, 0]
    task = asyncio.ensure_future(ask(made))
    await stage.started.wait()
    first, second = made.vitals().homes
    assert (first.home.id, first.in_flight, first.breaker) == ("parrot/0", 1, "closed")
    assert (second.home.state, second.in_flight) == ("failed", 0)
    stage.plays[0].say("hello")
    await task
    assert made.vitals().homes[0].in_flight == 0


async def test_plugins_are_asked_what_they_measure() -> None:
    """With the middleware of this gateway by name."""
    made = gateway(Stage(answer), [notes(Phase.OBSERVE, "parrots", [])])
    asked: list[dict[str, Middleware]] = []

    def measure(pipeline: object) -> list[Measurement]:
        asked.append(dict(pipeline))  # type: ignore[call-overload]
        return [Measurement("parrots", "How many.", 1)]

    made.measure = measure
    assert made.vitals().measurements == (Measurement("parrots", "How many.", 1),)
    assert set(asked[0]) == {"parrots"}


# ---------------------------------------------------------------- what was asked of homes


async def test_every_home_that_was_asked_is_noted() -> None:
    """When, for how long, and why it failed."""
    seen: list[str] = []

    def act(play: Play) -> None:
        seen.append(play.job.home.id)
        if len(seen) == 1:
            play.answer.fail(ModelUnavailable("gone"))
        else:
            play.say("hello")

    made = gateway(Stage(act), homes=[home(id="parrot/0"), home(id="parrot/1")])
    _, ctx = await ask(made)
    first, second = ctx.calls
    assert [first.home.id, second.home.id] == seen
    assert isinstance(first.error, ModelUnavailable)
    assert first.first_at is None
    assert second.error is None
    assert second.first_at is not None
    assert ctx.started <= first.started <= first.ended <= second.started <= second.first_at
    assert second.first_at <= second.ended


async def test_headers_for_the_home_go_with_the_job() -> None:
    """As middleware has left them."""

    def tell(ctx: RequestContext) -> None:
        ctx.outgoing_headers["traceparent"] = "00-1-2-01"

    stage = Stage(answer)
    await ask(gateway(stage, [notes(Phase.OBSERVE, "otel", [], on_request=tell)]))
    await ask(gateway(stage))
    assert [play.job.headers for play in stage.plays] == [{"traceparent": "00-1-2-01"}, None]


# ---------------------------------------------------------------- untruthful ends


@pytest.mark.pure
@pytest.mark.parametrize("error", [None, EngineDead("gone")])
async def test_a_stream_that_is_cut_is_counted(
    error: RouterError | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It ended in neither of the two ways, and the client was there: that is the worst we can do."""

    class Jammed(Reply):
        """A reply whose end never gets out."""

        def end(self, data: bytes) -> None:
            raise ZeroDivisionError

    def act(play: Play) -> None:
        play.answer.text("hel")
        if error is not None:
            play.answer.fail(error)
        else:
            play.say("lo")

    made = gateway(Stage(act))
    wire, ctx = Wire(), request({"stream": True})
    with pytest.raises(ZeroDivisionError):
        await made.pipeline.infer(ctx, Jammed(wire, ctx.response_headers), "chat")
    assert made.vitals().cut_streams == 1
    assert "was cut" in caplog.text
    await ask(made, stream=True)
    assert made.vitals().cut_streams == 1


async def test_a_stream_whose_task_is_ended_ends_with_an_error() -> None:
    """As when the door closes on it: the client is told, and nothing is cut."""
    stage = Stage()
    made = gateway(stage)
    wire, ctx = Wire(), request({"stream": True})
    task = asyncio.ensure_future(
        made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    )
    await stage.started.wait()
    await asyncio.sleep(0)
    stage.plays[0].answer.text("hel")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wire.body.endswith(b"data: [DONE]\n\n")
    assert b"shutting down" in wire.body
    assert made.vitals().cut_streams == 0
