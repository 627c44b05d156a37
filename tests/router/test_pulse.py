"""Waiting streams get a sign of life, and only those."""

from __future__ import annotations

import asyncio

import pytest
from tests.router.doubles import Stage, Wire, config, gateway, request
from tests.router.reading import read_stream

from hoonify_router.pulse import Pulse
from hoonify_router.reply import Reply


class Bell(Wire):
    """A wire that tells when something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.rung = asyncio.Event()
        self.aborted = asyncio.Event()

    def abort(self) -> None:
        self.aborted.set()

    def write(self, data: object) -> None:
        super().write(data)
        self.rung.set()


async def test_a_silent_stream_is_pinged_again_and_again() -> None:
    """Until it is let go of."""
    pulse, wire = Pulse(0.004), Bell()
    reply = Reply(wire, {})
    pulse.add(reply)
    for _ in range(3):
        wire.rung.clear()
        await wire.rung.wait()
    pulse.discard(reply)
    assert wire.body.startswith(b": waiting\n\n: waiting\n\n: waiting\n\n")
    assert wire.status == 200
    pulse.close()


async def test_a_stream_that_speaks_is_not_pinged() -> None:
    """As long as it does so often enough; a silent one beside it is."""
    pulse, busy, silent = Pulse(0.05), Wire(), Bell()
    first, second = Reply(busy, {}), Reply(silent, {})
    pulse.add(first)
    pulse.add(second)
    while not silent.rung.is_set():
        first.write(b"data: x\n\n")
        await asyncio.sleep(0.001)
    assert b": waiting" not in busy.data
    pulse.close()


async def test_zero_turns_pings_off() -> None:
    """However long the stream is silent."""
    pulse, wire = Pulse(0, stall=0.001), Wire()
    reply = Reply(wire, {})
    pulse.add(reply)
    for _ in range(20):
        pulse._look()
    assert wire.writes == []
    pulse.close()


@pytest.mark.parametrize("interval", [0, 0.004])
async def test_a_client_that_never_reads_is_given_up(interval: float) -> None:
    """It holds an engine's slot; one that reads again in time is not."""
    pulse, dead, slow = Pulse(interval, stall=0.01), Bell(), Bell()
    first, second = Reply(dead, {}), Reply(slow, {})
    for reply in (first, second):
        pulse.add(reply)
        reply.pause()
    second.resume()
    await dead.aborted.wait()
    assert not slow.aborted.is_set()
    pulse.close()


async def test_a_failure_after_a_ping_is_an_event() -> None:
    """The 200 is out; another home may still answer, an error has to be told in the stream."""
    stage = Stage()
    made = gateway(stage, settings=config(ping_interval=0.004))
    wire, ctx = Bell(), request({"stream": True})
    task = asyncio.ensure_future(
        made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    )
    await wire.rung.wait()
    stage.plays[0].answer.fail(Exception("gone"))  # type: ignore[arg-type]
    await task
    assert wire.status == 200
    events = wire.body.replace(b": waiting\n\n", b"")
    read = read_stream(events, with_usage=False)
    assert read.error is not None
    assert read.chunks == []
    assert ctx.status == 200


async def test_an_answer_after_a_ping_is_whole() -> None:
    """Pings stand between events, never inside of one."""
    stage = Stage()
    made = gateway(stage, settings=config(ping_interval=0.004))
    wire, ctx = Bell(), request({"stream": True})
    task = asyncio.ensure_future(
        made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    )
    await wire.rung.wait()
    stage.plays[0].say("a", "b")
    await task
    read = read_stream(wire.body.replace(b": waiting\n\n", b""), with_usage=False)
    assert read.texts == {0: "ab"}


async def test_plain_answers_are_not_pinged() -> None:
    """JSON has no comments."""
    stage = Stage()
    made = gateway(stage, settings=config(ping_interval=0.001))
    wire, ctx = Wire(), request()
    task = asyncio.ensure_future(
        made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    )
    await stage.started.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    stage.plays[0].say("a")
    await task
    assert wire.json["choices"][0]["message"]["content"] == "a"
