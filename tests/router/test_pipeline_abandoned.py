"""What a request costs whose client has left: as its engine says, or as much as was seen of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.router.doubles import Notes, Stage, Wire, gateway, home, notes, request

from hoonify_router import pipeline
from hoonify_router.api import Phase
from hoonify_router.errors import AuthenticationFailed, EngineDead, NotFound, RateLimited
from hoonify_router.reply import Reply
from hoonify_router.types import Usage


class Leaver:
    """A stream with two pieces of which the client leaves.

    Args:
        kind: Of the home that answers.
        body: More of the request.
    """

    def __init__(self, kind: str = "worker", **body: Any) -> None:
        self.stage = Stage()
        self.stage.kind = kind  # type: ignore[misc]
        self.diary: list[str] = []
        self.made = gateway(self.stage, [self._watcher()], [home(kind=kind)])
        self.made._adapters[kind] = self.stage  # type: ignore[index]
        self.wire, self.ctx = Wire(), request({"stream": True, **body})
        self.reply = Reply(self.wire, self.ctx.response_headers)

    def _watcher(self) -> Notes:
        def settle(ctx: Any) -> None:
            self.diary.append(f"{ctx.usage}")

        return notes(Phase.ADMIT, "limits", [], on_finally=settle)

    async def leave(self, *said: str, cancelled: bool = True) -> None:
        """Hear some of the answer, then leave, as Sanic tells it."""
        task = asyncio.ensure_future(self.made.pipeline.infer(self.ctx, self.reply, "chat"))
        await self.stage.started.wait()
        await asyncio.sleep(0)
        for text in said:
            self.stage.plays[0].answer.text(text)
        self.wire.closing = True
        self.reply.lost()
        if cancelled:
            task.cancel()
        await asyncio.wait([task])

    @property
    def released(self) -> Any:
        return self.stage.plays[0].job.released


@pytest.mark.parametrize("cancelled", [True, False])
async def test_the_engine_s_word_is_waited_for(cancelled: bool) -> None:
    """It knows what it has read and said."""
    leaver = Leaver()
    await leaver.leave("a", "b", cancelled=cancelled)
    assert leaver.diary == []
    leaver.released(Usage(7, 5))
    assert await leaver.made.pipeline.drain(5)
    assert leaver.diary == [f"{Usage(7, 5)}"]


async def test_the_engine_s_word_may_come_first() -> None:
    """Before the request has noticed that it is abandoned."""
    leaver = Leaver()
    task = asyncio.ensure_future(leaver.made.pipeline.infer(leaver.ctx, leaver.reply, "chat"))
    await leaver.stage.started.wait()
    await asyncio.sleep(0)
    leaver.wire.closing = True
    leaver.reply.lost()
    leaver.released(Usage(7, 5))
    await task
    assert leaver.diary == [f"{Usage(7, 5)}"]


async def test_an_engine_that_knows_nothing_of_the_prompt() -> None:
    """Its size tells about how long it is."""
    leaver = Leaver()
    await leaver.leave("a")
    leaver.released(Usage(0, 5))
    assert await leaver.made.pipeline.drain(5)
    assert leaver.ctx.prompt_estimate > 10
    assert leaver.diary == [f"{Usage(leaver.ctx.prompt_estimate, 5)}"]


async def test_an_engine_that_never_began_costs_nothing() -> None:
    """The request was still in its queue."""
    leaver = Leaver()
    await leaver.leave()
    leaver.released(Usage())
    assert await leaver.made.pipeline.drain(5)
    assert leaver.diary == [f"{Usage()}"]


async def test_an_engine_that_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen of the answer is charged, and a late word changes nothing any more."""
    monkeypatch.setattr(pipeline, "_RELEASE", 0.01)
    leaver = Leaver()
    await leaver.leave("a", "b")
    assert await leaver.made.pipeline.drain(5)
    leaver.released(Usage(7, 5))
    assert leaver.diary == [f"{Usage(leaver.ctx.prompt_estimate, 2)}"]


@pytest.mark.parametrize("said", [(), ("a", "b", "c")])
async def test_a_server_does_not_tell(said: tuple[str, ...]) -> None:
    """It has read the prompt, and each piece is about a token."""
    leaver = Leaver("server")
    await leaver.leave(*said)
    assert leaver.diary == [f"{Usage(leaver.ctx.prompt_estimate, len(said))}"]


async def test_an_answer_that_breaks_costs_what_was_seen_of_it() -> None:
    """The client has read a part of it; one that never began costs nothing."""
    for said in ([], ["a", "b"]):
        leaver = Leaver()
        task = asyncio.ensure_future(leaver.made.pipeline.infer(leaver.ctx, leaver.reply, "chat"))
        await leaver.stage.started.wait()
        await asyncio.sleep(0)
        for text in said:
            leaver.stage.plays[0].answer.text(text)
        leaver.stage.plays[-1].answer.fail(EngineDead("gone"))
        await task
        assert leaver.diary == [f"{Usage(leaver.ctx.prompt_estimate, 2) if said else None}"]


async def test_the_estimate_learns_from_what_engines_count() -> None:
    """After a few answers it is near the truth."""
    made = gateway(Stage(lambda play: play.say("a")))  # which counts three tokens
    for _ in range(60):
        ctx = request()
        await made.pipeline.infer(ctx, Reply(Wire(), ctx.response_headers), "chat")
    assert ctx.prompt_estimate in (3, 4)


# ---------------------------------------------------------------- what nobody takes


async def declined(*middleware: Notes) -> tuple[Wire, Any]:
    """Let a request be declined with 404."""
    made, wire, ctx = gateway(Stage(), middleware), Wire(), request()
    await made.pipeline.decline(ctx, Reply(wire, ctx.response_headers), NotFound("nothing here"))
    return wire, ctx


def limits(ctx: Any) -> None:
    ctx.response_headers["x-ratelimit-remaining-requests"] = "5"


def refuse(error: Exception) -> Any:
    def raise_it(ctx: Any) -> None:
        raise error

    return raise_it


async def test_what_nobody_takes_passes_keys_and_limits() -> None:
    """A known key is told its limits with the error."""
    diary: list[str] = []
    auth = notes(Phase.AUTHENTICATE, "auth", diary)
    wire, ctx = await declined(auth, notes(Phase.ADMIT, "admit", diary, on_request=limits))
    assert (wire.status, ctx.status) == (404, 404)
    assert wire.headers["x-ratelimit-remaining-requests"] == "5"
    assert diary == ["auth sees", "admit sees", "admit settles", "auth settles"]


async def test_what_nobody_takes_is_told_to_everybody() -> None:
    """Without a key, too; but nobody is admitted then."""
    diary: list[str] = []
    auth = notes(Phase.AUTHENTICATE, "auth", diary, on_request=refuse(AuthenticationFailed("no")))
    wire, _ = await declined(auth, notes(Phase.ADMIT, "admit", diary, on_request=limits))
    assert wire.status == 404
    assert diary == ["auth sees", "auth settles"]


async def test_what_nobody_takes_counts() -> None:
    """A key over its limit is told that first."""
    wire, _ = await declined(
        notes(Phase.ADMIT, "admit", [], on_request=refuse(RateLimited("slow down", retry_after=7)))
    )
    assert wire.status == 429
    assert wire.headers["retry-after"] == "7"


async def test_a_router_that_stops_tells_limits_too() -> None:
    """Its 503 is an answer like any other."""
    made = gateway(Stage(), [notes(Phase.ADMIT, "admit", [], on_request=limits)])
    assert await made.pipeline.drain(1)
    wire, ctx = Wire(), request()
    await made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    assert wire.status == 503
    assert wire.headers["x-ratelimit-remaining-requests"] == "5"
