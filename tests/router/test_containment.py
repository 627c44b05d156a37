"""Containment: middleware that fails, hangs or blocks is named; an observer may be turned off, keys and limits never."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from tests.router.doubles import Play, Stage, Wire, config, gateway, notes, request

from hoonify_router.api import Middleware, Phase, RequestContext
from hoonify_router.config.model import Config, Containment
from hoonify_router.config.times import Duration
from hoonify_router.gateway import Gateway
from hoonify_router.reply import Reply


def settings(**limits: Any) -> Config:
    made = config()
    made.containment = Containment(**limits)
    return made


def made(one: Middleware, **limits: Any) -> Gateway:
    return gateway(Stage(say), [one], settings=settings(**limits))


def say(play: Play) -> None:
    play.say("hello")


async def ask(door: Gateway) -> Wire:
    wire, ctx = Wire(), request()
    await door.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    return wire


def fail(ctx: RequestContext) -> None:
    raise ZeroDivisionError("oops")


def block(ctx: RequestContext) -> None:
    time.sleep(0.06)


async def hang(ctx: RequestContext) -> None:
    await asyncio.get_running_loop().create_future()


async def test_an_observer_that_fails_costs_nobody_an_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is named in the log, and counted; without a limit it is asked again."""
    diary: list[str] = []
    door = made(notes(Phase.OBSERVE, "spy", diary, on_request=fail))
    for _ in range(3):
        assert (await ask(door)).status == 200
    [seen, _] = door.vitals().middleware
    assert (seen.name, seen.failures, seen.off) == ("spy", 3, "")
    assert "middleware 'spy' failed on request req-1" in caplog.text
    assert "oops" in caplog.text


async def test_a_limit_turns_a_failing_observer_off(caplog: pytest.LogCaptureFixture) -> None:
    """It says so, it is not asked again, and requests go on."""
    diary: list[str] = []
    door = made(notes(Phase.OBSERVE, "spy", diary, on_request=fail), failures=2)
    for _ in range(4):
        assert (await ask(door)).status == 200
    assert diary.count("spy sees") == 2
    assert door.vitals().middleware[0].off == "it failed 2 times in a row"
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert any("'spy' is turned off in this process" in line for line in told)


async def test_failures_must_be_in_a_row() -> None:
    """One that works again starts anew."""
    diary: list[str] = []
    turns = iter([True, False, True, False, True])

    def sometimes(ctx: RequestContext) -> None:
        if next(turns):
            fail(ctx)

    door = made(notes(Phase.OBSERVE, "spy", diary, on_request=sometimes), failures=2)
    for _ in range(5):
        await ask(door)
    assert diary.count("spy sees") == 5


async def test_an_observer_that_blocks_is_named_and_turned_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What holds the event loop up is a stall."""
    diary: list[str] = []
    one = notes(Phase.OBSERVE, "spy", diary, on_request=block)
    door = made(one, stalls=2, stall=Duration(0.05))
    for _ in range(3):
        assert (await ask(door)).status == 200
    assert diary.count("spy sees") == 2
    assert door.vitals().middleware[0].stalls == 2
    assert "middleware 'spy' held the event loop up" in caplog.text


async def test_an_observer_that_hangs_is_passed_over() -> None:
    """After the patience that is configured."""
    door = made(notes(Phase.OBSERVE, "spy", [], on_request=hang), patience=Duration(0.05))
    assert (await ask(door)).status == 200
    assert door.vitals().middleware[0].failures == 1


@pytest.mark.parametrize("phase", [Phase.AUTHENTICATE, Phase.ADMIT, Phase.TRANSFORM])
async def test_others_never_fail_open(phase: Phase) -> None:
    """A bug is 500 and a hang is 503, again and again: no limit turns keys or limits off."""
    limits: dict[str, Any] = {"failures": 1, "stalls": 1, "patience": Duration(0.05)}
    broken = made(notes(phase, "keys", [], on_request=fail), **limits)
    for _ in range(3):
        assert (await ask(broken)).status == 500
    hanging = made(notes(phase, "keys", [], on_request=hang), **limits)
    for _ in range(2):
        wire = await ask(hanging)
        assert wire.status == 503
        assert wire.json["error"]["code"] == "model_unavailable"
        assert "retry-after" in wire.headers
    slow = made(notes(phase, "keys", [], on_request=block), stall=Duration(0.05), stalls=1)
    for _ in range(2):
        assert (await ask(slow)).status == 200
    assert slow.vitals().middleware[0].off == ""
    assert slow.vitals().middleware[0].stalls == 2


async def test_a_timeout_of_its_own_is_a_bug_like_any_other() -> None:
    """A middleware whose store does not answer in time fails the request with 500."""

    async def give_up(ctx: RequestContext) -> None:
        raise TimeoutError("the store does not answer")

    door = made(notes(Phase.ADMIT, "limits", [], on_request=give_up), patience=Duration(30))
    assert (await ask(door)).status == 500


async def test_failures_to_settle_are_counted() -> None:
    """And logged with the middleware's name."""
    door = made(notes(Phase.OBSERVE, "spy", [], on_finally=fail))
    assert (await ask(door)).status == 200
    assert door.vitals().middleware[0].failures == 1
