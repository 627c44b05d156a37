"""The worker adapter: events go into the answer, grants and cancellation go back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.router.reading import Sheet, read_stream

from hoonify_router.adapters.base import Job
from hoonify_router.adapters.engine import WorkerAdapter
from hoonify_router.adapters.worker import GRANT_BATCH, EventSink
from hoonify_router.chat_chunks import ChatChunks
from hoonify_router.errors import ConnectTimeout, ContextLengthExceeded, EngineDead
from hoonify_router.stream import EventStream
from hoonify_router.types import (
    ChatRequest,
    Counted,
    Finish,
    Health,
    HomeView,
    Message,
    Reasoning,
    Text,
    TokenLogprob,
    Usage,
)


class Worker:
    """A connection to a worker that the test plays."""

    def __init__(self) -> None:
        self.closed = False
        self.health: Health | None = None
        self.sinks: dict[int, EventSink] = {}
        self.requests: list[ChatRequest] = []
        self.granted: dict[int, int] = {}
        self.cancelled: list[int] = []

    def submit(self, request: ChatRequest, sink: EventSink) -> int:
        if self.closed:
            raise EngineDead("closed")
        self.requests.append(request)
        self.sinks[len(self.requests)] = sink
        return len(self.requests)

    def cancel(self, rid: int, released: Callable[[], object] | None = None) -> None:
        self.cancelled.append(rid)

    def grant(self, rid: int, events: int) -> None:
        self.granted[rid] = self.granted.get(rid, 0) + events

    def close(self) -> None:
        self.closed = True


class House:
    """Opens connections and counts them."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, Worker]] = []
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def open(self, path: str) -> Worker:
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.opened.append((path, Worker()))
        return self.opened[-1][1]


def job(address: str = "/run/a.sock") -> Job:
    home = HomeView("m", "m", "echo", "worker", "ready", address)
    chat = ChatRequest("m", [Message("user", "hi")], stream=True)
    return Job("req-1", chat, b"", home)


def stream() -> tuple[EventStream, Sheet, list[Any]]:
    sheet, ends = Sheet(), []
    chat_stream = EventStream(
        sheet, ChatChunks("chatcmpl-1", 1, "m", with_usage=True), 1, lambda: ends.append(1)
    )
    return chat_stream, sheet, ends


async def test_events_become_a_stream() -> None:
    """The last one ends the answer."""
    house = House()
    adapter = WorkerAdapter(house.open)
    answer, sheet, ends = stream()
    await adapter.start(job(), answer)
    worker = house.opened[0][1]
    for event in (Reasoning("hm"), Text("Hel"), Text("lo"), Finish("stop")):
        worker.sinks[1].on_events([event])
    assert ends == []
    worker.sinks[1].on_events([Counted(Usage(1, 2))])
    assert ends == [1]
    answer.close()
    read = read_stream(sheet.data, with_usage=True)
    assert read.texts == {0: "Hello"}
    assert read.usage is not None
    assert worker.requests[0].messages[0].content == "hi"


async def test_events_that_arrive_together_are_written_together() -> None:
    """In one write, with the role before them; what comes later is another one."""
    house = House()
    adapter = WorkerAdapter(house.open)
    answer, sheet, _ = stream()
    await adapter.start(job(), answer)
    sink = house.opened[0][1].sinks[1]
    sink.on_events([Text(text) for text in "abc"])
    assert len(sheet.writes) == 1
    sink.on_events([Text("d")])
    sink.on_events([Reasoning("?"), Text('"e"'), Text("\n"), Text("")])
    assert len(sheet.writes) == 3
    sink.on_events([Text("f", 0, [TokenLogprob(b"f", -0.5)]), Finish("stop")])
    assert len(sheet.writes) == 4
    sink.on_events([Counted(Usage(1, 5))])
    answer.close()
    assert len(sheet.writes) == 5
    read = read_stream(sheet.data, with_usage=True)
    assert read.texts == {0: 'abcd"e"\nf'}
    assert read.thoughts == {0: "?"}


async def test_events_are_granted_in_batches() -> None:
    """As they are consumed, whole reads at a time."""
    house = House()
    adapter = WorkerAdapter(house.open)
    await adapter.start(job(), stream()[0])
    worker = house.opened[0][1]
    worker.sinks[1].on_events([Text("a")] * (GRANT_BATCH - 1))
    assert worker.granted == {}
    worker.sinks[1].on_events([Text("a"), Text("b")])
    assert worker.granted == {1: GRANT_BATCH + 1}


async def test_what_was_collected_comes_before_an_error() -> None:
    """Nothing is lost when the worker dies in the same turn."""
    house = House()
    adapter = WorkerAdapter(house.open)
    answer, sheet, _ = stream()
    await adapter.start(job(), answer)
    sink = house.opened[0][1].sinks[1]
    sink.on_events([Text("a")])
    sink.on_failure(EngineDead("gone"))
    assert b'"content":"a"' in sheet.data
    assert len(sheet.writes) == 1


async def test_a_failure_ends_the_answer() -> None:
    """With the engine's own error."""
    house = House()
    adapter = WorkerAdapter(house.open)
    answer, _, ends = stream()
    await adapter.start(job(), answer)
    house.opened[0][1].sinks[1].on_failure(ContextLengthExceeded("too long"))
    assert ends == [1]
    assert isinstance(answer.error, ContextLengthExceeded)


async def test_a_client_that_lags_holds_the_grants_back() -> None:
    """So that the worker joins texts, and then waits."""
    house = House()
    adapter = WorkerAdapter(house.open)
    answer, _, _ = stream()
    call = await adapter.start(job(), answer)
    worker = house.opened[0][1]
    call.pause()
    worker.sinks[1].on_events([Text("a")] * GRANT_BATCH)
    assert worker.granted == {}
    call.resume()
    assert worker.granted == {1: GRANT_BATCH}
    call.resume()
    assert worker.granted == {1: GRANT_BATCH}
    worker.sinks[1].on_events([Text("a")] * GRANT_BATCH)
    assert worker.granted == {1: 2 * GRANT_BATCH}


async def test_cancel_reaches_the_worker() -> None:
    """By the request's own number."""
    house = House()
    adapter = WorkerAdapter(house.open)
    calls = [await adapter.start(job(), stream()[0]) for _ in range(3)]
    calls[1].cancel()
    assert house.opened[0][1].cancelled == [2]


async def test_a_connection_is_opened_once() -> None:
    """Also when many requests wait for it at the same time."""
    house = House()
    house.gate.clear()
    adapter = WorkerAdapter(house.open)
    starts = [asyncio.ensure_future(adapter.start(job(), stream()[0])) for _ in range(5)]
    await asyncio.sleep(0)
    house.gate.set()
    await asyncio.gather(*starts)
    await adapter.start(job(), stream()[0])
    assert [path for path, _ in house.opened] == ["/run/a.sock"]
    assert len(house.opened[0][1].requests) == 6


async def test_one_that_waits_may_leave_without_the_others() -> None:
    """A cancelled request does not cancel the connection."""
    house = House()
    house.gate.clear()
    adapter = WorkerAdapter(house.open)
    first = asyncio.ensure_future(adapter.start(job(), stream()[0]))
    second = asyncio.ensure_future(adapter.start(job(), stream()[0]))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    house.gate.set()
    await second
    assert len(house.opened[0][1].requests) == 1


async def test_a_closed_connection_is_opened_again() -> None:
    """The worker was restarted behind the same path."""
    house = House()
    adapter = WorkerAdapter(house.open)
    await adapter.start(job(), stream()[0])
    house.opened[0][1].closed = True
    await adapter.start(job(), stream()[0])
    assert len(house.opened) == 2


@pytest.mark.parametrize("failure", [EngineDead("gone"), ConnectionRefusedError()])
async def test_a_worker_that_cannot_be_reached(failure: Exception) -> None:
    """Is an error of its own kind, and asked again the next time."""
    house = House()
    house.failure = failure
    adapter = WorkerAdapter(house.open)
    answer, _, ends = stream()
    with pytest.raises(EngineDead):
        await adapter.start(job(), answer)
    assert ends == []
    house.failure = None
    await adapter.start(job(), answer)


async def test_connections_to_workers_that_have_gone_are_forgotten() -> None:
    """Those that still end their requests stay until they are closed."""
    house = House()
    adapter = WorkerAdapter(house.open)
    await adapter.start(job("/run/a.sock"), stream()[0])
    await adapter.start(job("/run/b.sock"), stream()[0])
    house.opened[0][1].closed = True
    adapter.update([])
    assert set(adapter._connections) == {"/run/b.sock"}
    await adapter.close()
    assert house.opened[1][1].closed


async def test_a_worker_that_does_not_greet_is_given_up_in_time() -> None:
    """Each request waits as long as it may for the same connection; a later one finds it open."""
    house = House()
    house.gate.clear()
    adapter = WorkerAdapter(house.open)
    patient = asyncio.ensure_future(adapter.start(with_limit(job(), 0), stream()[0]))
    with pytest.raises(ConnectTimeout):
        await adapter.start(with_limit(job(), 0.01), stream()[0])
    assert not patient.done()
    house.gate.set()
    await patient
    await adapter.start(with_limit(job(), 0.01), stream()[0])
    assert len(house.opened) == 1


def with_limit(one: Job, connect: float) -> Job:
    one.connect = connect
    return one


async def test_how_busy_an_engine_is_comes_from_its_last_heartbeat() -> None:
    """Nobody knows before one has come, nor when the connection is gone."""
    house = House()
    adapter = WorkerAdapter(house.open)
    home = job().home
    assert adapter.load(home) is None
    await adapter.start(job(), stream()[0])
    worker = house.opened[0][1]
    assert adapter.load(home) is None
    worker.health = Health(running=2, queued=1)
    assert adapter.load(home) == Health(running=2, queued=1)
    worker.closed = True
    assert adapter.load(home) is None
