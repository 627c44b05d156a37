"""Level 1: requests that are cancelled, clients that vanish, workers that are told to go."""

from __future__ import annotations

import asyncio

from hoonify_router.errors import ModelUnavailable
from hoonify_router.protocol import Bye
from hoonify_router.testing.bench import Bench
from hoonify_router.testing.homes import Worker
from hoonify_router.testing.records import Level, NotApplicable, check, require
from hoonify_router.testing.sink import Sink

RELEASED = 15.0
"""Seconds in which a slot must be free: long, because this machine may be busy with other things."""


async def _cancelled(bench: Bench, sink: Sink, when: str) -> None:
    if sink.ended.is_set():
        raise NotApplicable("its answers are over before they can be cancelled")
    sink.cancel()
    told = f"cancelled {when}, a request goes on and keeps its slot"
    await bench.within(sink.released, RELEASED, told)
    require(not sink.after_end, "a cancelled request goes on talking")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def cancels_in_mid_answer(bench: Bench) -> None:
    """A request that is cancelled while it answers gives its slot back at once."""
    async with bench.connection() as connection:
        sink = Sink.ask(connection, await bench.long_chat())
        await sink.begun.wait()
        await _cancelled(bench, sink, "in mid-answer")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def cancels_before_it_begins(bench: Bench) -> None:
    """A request that is cancelled before its first token gives its slot back at once."""
    async with bench.connection() as connection:
        sink = Sink.ask(connection, await bench.long_chat())
        await asyncio.sleep(0)
        await _cancelled(bench, sink, "before its first token")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def cancels_what_waits(bench: Bench) -> None:
    """A request that is cancelled while it waits for a slot is forgotten, and the others go on."""
    many = await bench.slots()
    if many > 64:
        raise NotApplicable("it has too many slots to fill them all")
    async with bench.connection() as connection:
        holders = [Sink.ask(connection, await bench.long_chat()) for _ in range(many)]
        waiting = Sink.ask(connection, await bench.long_chat())
        await asyncio.sleep(0)
        await _cancelled(bench, waiting, "while it waits for a slot")
        for holder in holders:
            holder.cancel()
        for holder in holders:
            if not holder.ended.is_set():
                await bench.within(holder.released, RELEASED, "a slot is not given back")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def cancels_one_of_many(bench: Bench) -> None:
    """Cancelling one request leaves its neighbour alone."""
    if await bench.slots() < 2:
        raise NotApplicable("it has one slot")
    async with bench.connection() as connection:
        stays = Sink.ask(connection, await bench.long_chat())
        goes = Sink.ask(connection, await bench.long_chat())
        await goes.begun.wait()
        goes.cancel()
        await stays.end()
        require(stays.error is None, f"cancelling one request breaks another: {stays.error}")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def cancels_what_has_ended(bench: Bench) -> None:
    """Cancelling a request twice, or one that is over, does no harm."""
    async with bench.connection() as connection:
        sink = await Sink.ask(connection, await bench.chat()).end()
        sink.cancel()
        sink.cancel()
        again = await Sink.ask(connection, await bench.chat()).end()
        require(again.error is None, f"after a cancel that came too late it fails: {again.error}")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def forgets_who_has_gone(bench: Bench) -> None:
    """The requests of a gateway that vanishes give their slots back."""
    worker = await bench.worker()
    connection = await worker.connect()
    sinks = [Sink.ask(connection, await bench.long_chat()) for _ in range(2)]
    await asyncio.wait_for(sinks[0].begun.wait(), bench.patience)
    connection.close()
    await worker.idle(RELEASED)


@check(Level.PROTOCOL, kind="worker", task="chat")
async def is_idle_in_the_end(bench: Bench) -> None:
    """After all of this nothing runs, nothing waits, and it still answers."""
    worker = await bench.worker()
    await worker.idle(RELEASED)
    sink = await bench.hear(await bench.chat())
    require(sink.error is None, f"it does not answer any more: {sink.error}")


@check(Level.PROTOCOL, kind="worker", task="chat", ends=True)
async def drains(bench: Bench) -> None:
    """Told to drain, it finishes what runs, takes nothing new, says goodbye and leaves with status 0."""
    worker = await bench.process()
    heard: list[object] = []
    connection = await worker.connect("gateway", heard.append)
    running = Sink.ask(connection, await bench.long_chat())
    await running.begun.wait()
    worker.drain(bench.patience)
    late = Sink.ask(connection, await bench.chat())
    await running.end()
    require(running.error is None, f"the running request does not finish: {running.error}")
    await late.end()
    if late.error is not None:  # else it came before the drain was heard
        told = f"a request during the drain is {type(late.error).__name__}, not ModelUnavailable"
        require(isinstance(late.error, ModelUnavailable), told)
    gone = await worker.gone(bench.patience / 2)
    require(gone, "it does not leave after the drain: does `close` return?")
    ending = worker.running_process.ending
    require(ending == "exit status 0", f"it leaves with {ending}{worker.fault}")
    require(any(isinstance(frame, Bye) for frame in heard), "it leaves without a goodbye")
    await worker.stop()


@check(Level.PROTOCOL, kind="worker", task="chat", ends=True)
async def drains_no_longer_than_told(bench: Bench) -> None:
    """When the time for the drain is over, what still runs ends with an error, and it leaves."""
    worker = await bench.process()
    connection = await worker.connect()
    running = Sink.ask(connection, await bench.long_chat())
    await running.begun.wait()
    worker.drain(0)
    await running.end()
    require(await worker.gone(bench.patience / 2), "it does not leave when its time is over")
    await worker.stop()


@check(Level.PROTOCOL, kind="worker", ends=True)
async def leaves_with_its_supervisor(bench: Bench) -> None:
    """When the supervisor dies, the engine's process goes, too: no orphan holds a GPU."""
    worker: Worker = await bench.process()
    process = await bench.process()
    process.hang_up()
    require(await process.gone(bench.patience / 2), "it outlives its supervisor")
    await worker.stop()
