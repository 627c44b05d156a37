"""Observers: their bugs refuse nobody, and they hear when the slot of a client that left is free."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.router.doubles import Notes, Play, Stage, Wire, gateway, notes, request

from hoonify_router.api import Middleware, Phase, RequestContext
from hoonify_router.errors import Cancelled, PermissionDenied
from hoonify_router.reply import Reply


def bug(ctx: RequestContext) -> None:
    raise ZeroDivisionError("secret")


async def late_bug(ctx: RequestContext) -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError("secret")


def answer(play: Play) -> None:
    play.say("a")


async def ask(made: Any, body: Any = None) -> Wire:
    wire, ctx = Wire(), request(body)
    await made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    return wire


# ---------------------------------------------------------------- bugs


@pytest.mark.parametrize("fault", [bug, late_bug])
@pytest.mark.parametrize("body", [{}, {"stream": True}])
async def test_a_bug_of_an_observer_is_logged_and_the_request_goes_on(
    fault: Any, body: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is whole; the other observers see it; everybody settles."""
    diary: list[str] = []
    broken = notes(Phase.OBSERVE, "broken", diary, on_request=fault)
    sound = notes(Phase.OBSERVE, "sound", diary)
    wire = await ask(gateway(Stage(answer), [broken, sound]), body)
    assert wire.status == 200
    assert diary == ["broken sees", "sound sees", "sound settles", "broken settles"]
    (told,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "middleware 'broken' failed on request req-1" in told.getMessage()


async def test_a_bug_of_an_observer_does_not_replace_a_refusal() -> None:
    """The client reads why it was refused."""
    diary: list[str] = []
    broken = notes(Phase.OBSERVE, "broken", diary, on_request=bug)
    sound = notes(Phase.OBSERVE, "sound", diary)
    wire = await ask(gateway(Stage(answer), [broken, sound]), b"{")
    assert wire.status == 400
    assert "sound sees" in diary


async def test_an_observer_may_refuse_on_purpose() -> None:
    """By an error of the router's, as any middleware."""

    def refuse(ctx: RequestContext) -> None:
        raise PermissionDenied("not today")

    diary: list[str] = []
    wire = await ask(
        gateway(Stage(answer), [notes(Phase.OBSERVE, "strict", diary, on_request=refuse)])
    )
    assert wire.status == 403


@pytest.mark.parametrize("phase", [Phase.AUTHENTICATE, Phase.ADMIT, Phase.TRANSFORM])
async def test_a_bug_of_any_other_middleware_fails_the_request(phase: Phase) -> None:
    """A broken limit is not no limit."""
    wire = await ask(gateway(Stage(answer), [notes(phase, "broken", [], on_request=bug)]))
    assert wire.status == 500
    assert b"secret" not in wire.data


# ---------------------------------------------------------------- released slots


class Listener(Notes):
    """Also notes released slots, and fails over them if it is told to."""

    phase = Phase.AUTHENTICATE

    def on_released(self, ctx: RequestContext, seconds: float) -> None:
        self.diary.append(f"{self.name} hears")
        assert 0 <= seconds < 5
        if self.name == "broken":
            raise ZeroDivisionError


class Leaver:
    """One request whose client leaves in the middle."""

    def __init__(self, middleware: list[Middleware]) -> None:
        self.stage = Stage()
        self.made = gateway(self.stage, middleware)
        self.wire, self.ctx = Wire(), request({"stream": True})
        self.reply = Reply(self.wire, self.ctx.response_headers)

    async def leave(self) -> Any:
        """Ask, wait until the home has the job, hang up; return the job's ``released``."""
        self.task = asyncio.ensure_future(self.made.pipeline.infer(self.ctx, self.reply, "chat"))
        await self.stage.started.wait()
        await asyncio.sleep(0)
        self.wire.closing = True
        self.reply.lost()
        assert self.stage.plays[0].cancelled
        return self.stage.plays[0].job.released


async def test_whoever_saw_the_request_hears_of_the_free_slot() -> None:
    """All of them, after they have settled; a broken one disturbs nobody."""
    diary: list[str] = []
    leaver = Leaver([Listener("a", diary), Listener("broken", diary), Listener("b", diary)])
    released = await leaver.leave()
    await leaver.task
    assert isinstance(leaver.ctx.error, Cancelled)
    assert not any("hears" in line for line in diary)
    released()
    assert await leaver.made.pipeline.drain(5)
    assert diary[-3:] == ["a hears", "broken hears", "b hears"]
    assert all("settles" in line for line in diary[3:6])


async def test_a_slot_that_is_free_at_once_is_told_of_after_settling() -> None:
    """Even when settling takes its time: ``on_released`` comes after ``on_finally``."""
    diary: list[str] = []
    gate = asyncio.Event()

    async def settle(ctx: RequestContext) -> None:
        await gate.wait()
        diary.append("settled")

    leaver = Leaver([Listener("a", diary, on_finally=settle)])
    released = await leaver.leave()
    released()
    await asyncio.sleep(0)
    gate.set()
    await leaver.task
    assert diary == ["a sees", "a settles", "settled", "a hears"]


async def test_who_never_saw_the_request_hears_nothing() -> None:
    """Nor does anybody of a slot that was given back for another reason than a client's leaving."""
    diary: list[str] = []
    leaver = Leaver([Listener("a", diary)])
    task = asyncio.ensure_future(leaver.made.pipeline.infer(leaver.ctx, leaver.reply, "chat"))
    await leaver.stage.started.wait()
    play = leaver.stage.plays[0]
    assert play.job.released is not None
    play.job.released()
    play.say("a")
    await task
    assert diary == ["a sees", "a settles"]
