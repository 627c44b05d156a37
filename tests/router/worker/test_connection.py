"""The client's end: sinks always hear an end, and nothing a sink does harms the others."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest

from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.errors import EngineDead, PayloadTooLarge, RouterError
from hoonify_router.protocol import (
    PROTOCOL_VERSION,
    WINDOW,
    Bye,
    Cancel,
    Credit,
    Events,
    FrameReader,
    Generate,
    Hello,
    encode_frame,
)
from hoonify_router.types import ChatRequest, Counted, Failure, Finish, Message, Text, Usage

ENCODER = msgspec.msgpack.Encoder()


def ask(content: str = "hi") -> ChatRequest:
    return ChatRequest("m", [Message("user", content)])


class FakeWorker:
    """A worker that says only what the test makes it say."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self.protocol = PROTOCOL_VERSION
        self._writer: asyncio.StreamWriter | None = None

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        frames = FrameReader(msgspec.msgpack.Decoder(Hello | Generate | Credit | Cancel))
        self.say(Hello("worker", protocol=self.protocol))
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    for frame in frames.feed(data):
                        self.heard.put_nowait(frame)
        finally:
            writer.close()

    def say(self, *frames: msgspec.Struct) -> None:
        self.write(b"".join(encode_frame(frame, ENCODER) for frame in frames))

    def write(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)

    def hang_up(self) -> None:
        assert self._writer is not None
        self._writer.transport.abort()


@pytest.fixture
async def worker(private_dir: Any) -> Any:
    fake = FakeWorker()
    server = await asyncio.start_unix_server(fake.talk, private_dir / "fake.sock")
    yield fake
    server.close()
    await server.wait_closed()


@pytest.fixture
async def connection(worker: FakeWorker, private_dir: Any) -> Any:
    opened = await WorkerConnection.open(private_dir / "fake.sock")
    assert (await worker.heard.get()).role == "gateway"
    yield opened
    opened.close()
    await opened.lost


async def test_a_lost_socket_fails_every_pending_sink(
    worker: Any, connection: Any, sink: Any
) -> None:
    """Each exactly once, with a reason for clients to read; new requests are refused."""
    sinks = [sink() for _ in range(3)]
    for heard in sinks:
        connection.submit(ask(), heard)
    worker.say(Events([(1, Text("a"))]))
    await sinks[0].first.wait()
    worker.hang_up()
    for heard in sinks:
        await heard.ended.wait()
        assert isinstance(heard.error, EngineDead)
        assert "connection to the engine was lost" in heard.error.message
        assert heard.calls_after_end == 0
    assert connection.closed
    with pytest.raises(EngineDead):
        connection.submit(ask(), sink())


async def test_nobody_hears_of_a_request_that_was_cancelled(
    worker: Any, connection: Any, sink: Any
) -> None:
    """Neither events that were on their way nor the loss of the connection."""
    cancelled, other = sink(), sink()
    rid = connection.submit(ask(), cancelled)
    connection.submit(ask(), other)
    connection.cancel(rid)
    connection.cancel(rid)
    worker.say(Events([(rid, Text("late")), (rid, Counted(Usage())), (rid + 1, Text("mine"))]))
    await other.first.wait()
    worker.hang_up()
    await other.ended.wait()
    assert cancelled.events == []
    assert cancelled.error is None


async def test_failures_become_the_errors_they_name(
    worker: Any, connection: Any, sink: Any
) -> None:
    """And a kind that nobody knows becomes an error of ours."""
    known, unknown = sink(), sink()
    connection.submit(ask(), known)
    connection.submit(ask(), unknown)
    worker.say(
        Events([(1, Failure("Overloaded", "full", None, 2.0)), (2, Failure("FromTheFuture", "?"))])
    )
    await unknown.ended.wait()
    assert type(known.error).__name__ == "Overloaded"
    assert known.error.retry_after == 2.0
    assert type(unknown.error) is RouterError


async def test_grants_are_sent_in_batches(worker: Any, connection: Any, sink: Any) -> None:
    """One credit frame for half of the window, none for a request that has ended."""
    heard = sink()
    rid = connection.submit(ask(), heard)
    for _ in range(WINDOW):
        connection.grant(rid, 1)
    assert isinstance(await worker.heard.get(), Generate)
    assert await worker.heard.get() == Credit(rid, WINDOW)
    connection.grant(rid, 3)
    worker.say(Events([(rid, Finish("stop")), (rid, Counted(Usage()))]))
    await heard.ended.wait()
    connection.grant(rid, WINDOW)
    connection.submit(ask(), sink())
    assert isinstance(await worker.heard.get(), Generate)


async def test_what_comes_together_is_told_together(
    worker: Any, connection: Any, sink: Any
) -> None:
    """Each request hears its own events of a read in one call and in order, and its end by itself."""
    calls: list[tuple[int, list[Any]]] = []

    class Noting(sink):  # type: ignore[misc]
        def on_events(self, events: Any) -> None:
            calls.append((self.rid, list(events)))
            super().on_events(events)

    sinks = [Noting(), Noting()]
    for heard in sinks:
        heard.rid = connection.submit(ask(), heard)
    a, b, end = Text("a"), Text("b"), Counted(Usage(1, 2))
    worker.say(Events([(1, a), (2, a), (1, b)]), Events([(2, b), (1, end), (2, end)]))
    for heard in sinks:
        await heard.ended.wait()
    assert [events for rid, events in calls if rid == 1] == [[a, b], [end]]
    assert [events for rid, events in calls if rid == 2] == [[a, b], [end]]


@pytest.mark.parametrize("end", [Counted(Usage(1, 2)), Failure("Overloaded", "full")])
async def test_what_follows_an_end_is_heard_by_nobody(
    worker: Any, connection: Any, sink: Any, end: Any
) -> None:
    """Not even in the same frame; what came before it is."""
    heard, other = sink(), sink()
    connection.submit(ask(), heard)
    connection.submit(ask(), other)
    worker.say(Events([(1, Text("a")), (1, end), (1, Text("b")), (1, end), (2, Text("c"))]))
    await other.first.wait()
    assert heard.text == "a"
    assert (heard.error is None) == isinstance(end, Counted)
    assert heard.calls_after_end == 0
    assert connection.pending == 1


async def test_a_request_may_be_cancelled_while_it_takes_its_last_events(
    worker: Any, connection: Any, sink: Any
) -> None:
    """It hears nothing more, its end included."""

    class Leaving(sink):  # type: ignore[misc]
        def on_events(self, events: Any) -> None:
            super().on_events(events)
            connection.cancel(self.rid)

    leaving, other = Leaving(), sink()
    leaving.rid = connection.submit(ask(), leaving)
    connection.submit(ask(), other)
    worker.say(Events([(1, Text("a")), (1, Counted(Usage())), (2, Text("b"))]))
    await other.first.wait()
    assert leaving.events == [Text("a")]
    assert not leaving.ended.is_set()


async def test_a_sink_that_raises_harms_itself_only(
    worker: Any, connection: Any, sink: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Its request ends with an error, the next one in the same frame is served."""

    class Clumsy(sink):  # type: ignore[misc]
        def on_events(self, events: Any) -> None:
            raise ZeroDivisionError

    clumsy, other = Clumsy(), sink()
    connection.submit(ask(), clumsy)
    connection.submit(ask(), other)
    worker.say(Events([(1, Text("a")), (2, Text("b"))]))
    await other.first.wait()
    assert isinstance(clumsy.error, RouterError)
    assert "a sink failed" in caplog.text


@pytest.mark.parametrize(
    "nonsense", [b"HTTP/1.1 200 OK\r\n\r\n", b"\x00\x00\x00\x01\xc1", b"\xff\xff\xff\xff"]
)
async def test_a_worker_that_talks_nonsense_is_dead(
    worker: Any, connection: Any, sink: Any, nonsense: bytes
) -> None:
    """Pending requests fail; nothing hangs."""
    heard = sink()
    connection.submit(ask(), heard)
    worker.write(nonsense)
    await heard.ended.wait()
    assert isinstance(heard.error, EngineDead)


async def test_after_bye_nothing_more_is_asked(worker: Any, connection: Any, sink: Any) -> None:
    """What runs may still end well."""
    heard = sink()
    connection.submit(ask(), heard)
    worker.say(Bye("leaving"), Events([(1, Finish("stop")), (1, Counted(Usage(1, 1)))]))
    await heard.ended.wait()
    assert heard.error is None
    assert connection.closed


async def test_a_request_over_the_frame_limit_is_too_large(
    connection: Any, sink: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to the one client; the connection lives on."""
    monkeypatch.setattr("hoonify_router.protocol.MAX_FRAME_BYTES", 1000)
    with pytest.raises(PayloadTooLarge):
        connection.submit(ask("x" * 2000), sink())
    assert not connection.closed
    assert connection.pending == 0


async def test_nobody_there_and_strangers_are_dead_engines(private_dir: Any, worker: Any) -> None:
    """A missing socket, another protocol, someone who never says hello."""
    with pytest.raises(EngineDead):
        await WorkerConnection.open(private_dir / "missing.sock")
    worker.protocol = 99
    with pytest.raises(EngineDead):
        await WorkerConnection.open(private_dir / "fake.sock")
    worker.say = lambda *frames: None
    with pytest.raises(EngineDead):
        await WorkerConnection.open(private_dir / "fake.sock", patience=0.05)
