"""The worker host: load, serve many clients, cancel, drain."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from hoonify_backends.echo.engine import EchoEngine
from hoonify_backends.echo.options import EchoOptions
from hoonify_router.api import Engine, ProgressCallback
from hoonify_router.errors import EngineDead, HomeStopping, ModelUnavailable, RouterError
from hoonify_router.protocol import (
    MAX_FRAME_BYTES,
    WINDOW,
    Bye,
    Cancel,
    Credit,
    Drain,
    Events,
    FrameReader,
    Generate,
    Heartbeat,
    Hello,
    Load,
    LoadFailed,
    Progress,
    Ready,
    Released,
    encode_frame,
)
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    Counted,
    Event,
    Finish,
    Health,
    Message,
    Text,
    Usage,
)

_Outgoing = Hello | Progress | Ready | LoadFailed | Events | Released | Heartbeat | Bye
ENCODER = msgspec.msgpack.Encoder()


def ask(content: str, **fields: Any) -> ChatRequest:
    return ChatRequest("echo", [Message("user", content)], **fields)


class RawClient:
    """Speaks frames, or nonsense, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.frames = FrameReader(msgspec.msgpack.Decoder(_Outgoing))
        self.unread: list[Any] = []

    @classmethod
    async def connect(cls, path: Any, role: Any = "gateway") -> RawClient:
        client = cls(*await asyncio.open_unix_connection(str(path)))
        if role:
            client.send(Hello(role))
            assert isinstance(await client.next(), Hello)
        return client

    def send(self, *frames: msgspec.Struct) -> None:
        self.writer.write(b"".join(encode_frame(frame, ENCODER) for frame in frames))

    async def next(self, kind: type = object) -> Any:
        """Return the next frame of ``kind``, ``None`` at the end of the connection."""
        async with asyncio.timeout(60):
            while True:
                while self.unread:
                    if isinstance(frame := self.unread.pop(0), kind):
                        return frame
                if not (data := await self.reader.read(65536)):
                    return None
                self.unread += self.frames.feed(data)

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


@pytest.fixture
async def raw(echo: Any) -> AsyncIterator[Any]:
    """``await raw(role)``: raw connections to a loaded host."""
    clients: list[RawClient] = []

    async def connect(role: str = "gateway") -> RawClient:
        clients.append(await RawClient.connect(echo.path, role))
        return clients[-1]

    yield connect
    for client in clients:
        await client.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the engine has no event for a test to wait on
            await asyncio.sleep(0.001)


# ---------------------------------------------------------------- loading


async def test_ready_is_told_to_whoever_connects_later(echo: Any) -> None:
    """Capabilities included."""
    told: asyncio.Future[Any] = asyncio.Future()
    await echo.connect(on_frame=told.set_result)
    ready = await told
    assert isinstance(ready, Ready)
    assert "max_tokens" in ready.capabilities.parameters


async def test_progress_comes_from_any_thread_and_in_measure(start_host: Any) -> None:
    """A hundred thousand reports become a few frames, and the last one is among them."""

    class Chatty(EchoEngine):
        async def load(self, options: EchoOptions, progress: ProgressCallback) -> None:
            def work() -> None:
                assert threading.current_thread() is not threading.main_thread()
                for step in range(100_000):
                    progress("reading", step + 1, 100_000)

            await asyncio.to_thread(work)
            await super().load(msgspec.structs.replace(options, load_silent=True), progress)
            await until(lambda: seen and seen[-1].done == 100_000)

    running = await start_host(Chatty)
    seen = running.frames
    assert isinstance(await running.load(), Ready)
    progress = [frame for frame in seen if isinstance(frame, Progress)]
    assert progress[-1] == Progress("reading", 100_000, 100_000)
    assert len(progress) < 100


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"load_error": "OutOfMemory"}, "OutOfMemory", "told to fail"),
        ({"slots": 0}, "InvalidRequest", "slots"),
        ({"slot": 1}, "InvalidRequest", "slot"),
    ],
)
async def test_a_failed_load_is_told_and_ends_the_worker(
    start_host: Any, options: dict[str, Any], kind: str, message: str
) -> None:
    """With its kind, a message for the operator, and exit status 1."""
    running = await start_host()
    failed = await running.load(**options)
    assert isinstance(failed, LoadFailed)
    assert failed.kind == kind
    assert message in failed.message
    assert await running.host.wait() == 1


async def test_any_exception_while_loading_is_a_failed_load(start_host: Any) -> None:
    """Also one of no class of ours, and an engine that cannot even be found."""

    class Broken(EchoEngine):
        async def load(self, options: EchoOptions, progress: ProgressCallback) -> None:
            raise ZeroDivisionError("by zero \ud800")

    failed = await (await start_host(Broken)).load()
    assert failed == LoadFailed("RouterError", "ZeroDivisionError: by zero ?")

    def nowhere() -> type[Engine[Any]]:
        raise RouterError("engine 'nowhere:Nothing' cannot be imported")

    failed = await (await start_host(nowhere)).load()
    assert failed == LoadFailed("RouterError", "engine 'nowhere:Nothing' cannot be imported")


async def test_nonsense_capabilities_are_a_failed_load(start_host: Any) -> None:
    """They would break every gateway's connection otherwise."""

    class Boastful(EchoEngine):
        @property
        def capabilities(self) -> Capabilities:
            return Capabilities(frozenset({"n"}), context_length="endless")  # type: ignore[arg-type]

    assert isinstance(await (await start_host(Boastful)).load(), LoadFailed)


async def test_a_request_before_the_load_is_unavailable(start_host: Any, sink: Any) -> None:
    """Not an error of the connection."""
    running = await start_host()
    connection = await running.connect()
    heard = sink(connection)
    heard.rid = connection.submit(ask("hi"), heard)
    await heard.ended.wait()
    assert type(heard.error) is ModelUnavailable


# ---------------------------------------------------------------- serving


async def test_two_connections_share_the_engine(echo: Any, sink: Any) -> None:
    """Each hears its own answer though the numbers are the same."""
    first, second = await echo.connect(), await echo.connect()
    one, two = sink(first), sink(second)
    one.rid = first.submit(ask("for the first [[delay 0.001]] [[repeat 3]]"), one)
    two.rid = second.submit(ask("for the second [[delay 0.001]] [[repeat 3]]"), two)
    assert one.rid == two.rid
    await one.ended.wait()
    await two.ended.wait()
    assert one.text == " ".join(["for the first"] * 3)
    assert two.text == " ".join(["for the second"] * 3)


async def test_sixteen_streams_interleave(echo: Any, sink: Any) -> None:
    """All have begun before any has ended."""
    connection = await echo.connect()
    order: list[tuple[int, type]] = []

    class Noting(sink):  # type: ignore[misc]
        def on_events(self, events: Sequence[Event]) -> None:
            order.extend([(self.rid, type(event)) for event in events])
            super().on_events(events)

    sinks = [Noting(connection) for _ in range(16)]
    for heard in sinks:
        heard.rid = connection.submit(ask("a b c d e [[delay 0.001]]"), heard)
    for heard in sinks:
        await heard.ended.wait()
        assert heard.text == "a b c d e"
    begun_before_an_end = {rid for rid, _ in order[: order.index((1, Finish))]}
    assert len(begun_before_an_end) == 16


async def test_events_of_one_turn_share_a_frame(raw: Any) -> None:
    """Eight requests that step together cost one frame per step, not eight."""
    client = await raw()
    client.send(*(Generate(rid, ask("one two three")) for rid in range(8)))
    frames, ended = [], 0
    while ended < 8:
        frames.append(await client.next(Events))
        ended += sum(isinstance(event, Counted) for _, event in frames[-1].items)
    assert max(len({rid for rid, _ in frame.items}) for frame in frames) == 8
    assert len(frames) <= 8


async def test_an_engine_that_never_awaits_lets_others_in(start_host: Any, sink: Any) -> None:
    """A greedy request does not hold back a short one."""

    class Greedy(EchoEngine):
        async def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
            for _ in range(int(str(request.messages[0].content))):
                yield Text("x")
            yield Finish("stop")
            yield Counted(Usage(1, 1))

    running = await start_host(Greedy)
    await running.load()
    connection = await running.connect()
    long, short = sink(connection), sink(connection)
    long.rid = connection.submit(ask("200000"), long)
    short.rid = connection.submit(ask("1"), short)
    await short.ended.wait()
    assert not long.ended.is_set()
    connection.cancel(long.rid)


async def test_a_slow_reader_gets_joined_texts_and_stops_nobody(echo: Any, sink: Any) -> None:
    """At most a window on its way, the whole rest in one event once there is credit."""
    connection = await echo.connect()
    slow, quick = sink(connection, slow=True), sink(connection)
    slow.rid = connection.submit(ask("word [[repeat 5000]]"), slow)
    quick.rid = connection.submit(ask("b [[repeat 500]]"), quick)
    await quick.ended.wait()
    await until(lambda: len(slow.events) == WINDOW)
    (serving,) = echo.host._servings
    await until(lambda: not serving.running)
    assert len(slow.events) == WINDOW
    assert len(serving._outlet) == 3  # joined text, finish, counts
    slow.slow = False
    connection.grant(slow.rid, WINDOW)
    await slow.ended.wait()
    assert slow.text == " ".join(["word"] * 5000)
    assert len(slow.events) == WINDOW + 3


async def test_grants_keep_a_long_answer_flowing(echo: Any, sink: Any) -> None:
    """A reader that grants each event is never joined for long and gets it all."""
    connection = await echo.connect()
    heard = sink(connection)
    heard.rid = connection.submit(ask("tick [[repeat 2000]]"), heard)
    await heard.ended.wait()
    assert heard.text == " ".join(["tick"] * 2000)
    assert heard.calls_after_end == 0


async def test_cancel_frees_the_slot_at_once(start_host: Any, sink: Any) -> None:
    """Before the first token, in mid-stream and in the queue; nothing of it is heard afterwards."""
    running = await start_host()
    await running.load(slots=1)
    connection = await running.connect()
    engine = running.host._engine
    for script in ("[[hang]]", "a b c [[hang after 2]]"):
        heard, queued, after = sink(connection), sink(connection), sink(connection)
        heard.rid = connection.submit(ask(script), heard)
        await until(lambda: engine.health().running == 1)
        queued.rid = connection.submit(ask("never"), queued)
        await until(lambda: engine.health().queued == 1)
        connection.cancel(queued.rid)
        await until(lambda: engine.health().queued == 0)
        connection.cancel(heard.rid)
        after.rid = connection.submit(ask("next please"), after)
        await after.ended.wait()
        assert after.text == "next please"
        assert not heard.ended.is_set()
        assert not queued.events
    assert engine.health().running == 0


async def test_a_lost_connection_frees_its_slots(echo: Any, sink: Any) -> None:
    """A gateway that dies takes its requests along and no one else's."""
    engine = echo.host._engine
    dying, living = await echo.connect(), await echo.connect()
    for _ in range(5):
        dying.submit(ask("[[hang]]"), sink())
    heard = sink(living)
    heard.rid = living.submit(ask("a b [[delay 0.05]]"), heard)
    await until(lambda: engine.health().running == 6)
    dying._transport.abort()
    await until(lambda: engine.health().running <= 1)
    await heard.ended.wait()
    assert heard.text == "a b"


async def test_cancelled_while_its_end_waits_for_credit(raw: Any, echo: Any) -> None:
    """What was held for a slow reader is let go."""
    client = await raw()
    client.send(Generate(1, ask("a b [[repeat 500]]")))
    await until(lambda: echo.host._servings and not any(s.running for s in echo.host._servings))
    client.send(Cancel(1), Generate(1, ask("again")))
    while (await client.next(Events)).items[-1][0:1] != (1,) or echo.host._servings:
        pass
    assert not echo.host._servings


# ---------------------------------------------------------------- peers that break the rules


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x00\x05hello",
        b"\x00\x00\x00\x00",
        (MAX_FRAME_BYTES + 1).to_bytes(4, "big"),
        encode_frame(Heartbeat(Health()), ENCODER),
        encode_frame(Hello("worker"), ENCODER),
        encode_frame(Hello("gateway"), ENCODER),
        encode_frame(Load({}), ENCODER),
        encode_frame(Drain(0), ENCODER),
        b"\x00\x00\x00\x04" + b"\x91" * 4,
    ],
)
async def test_nonsense_ends_that_connection_only(
    raw: Any, echo: Any, sink: Any, nonsense: bytes
) -> None:
    """After a hello and without one; streams of others go on."""
    bystander = await echo.connect()
    heard = sink(bystander)
    heard.rid = bystander.submit(ask("calm [[repeat 3]] [[delay 0.001]]"), heard)
    for role in ("gateway", ""):
        client = await raw(role)
        client.writer.write(nonsense)
        if nonsense == encode_frame(Hello("gateway"), ENCODER) and not role:
            continue  # a first hello is fine
        assert await client.next(Bye) is None
    await heard.ended.wait()
    assert heard.text == "calm calm calm"


async def test_the_same_number_twice_ends_the_connection(raw: Any) -> None:
    """Two requests could not be told apart."""
    client = await raw()
    client.send(Generate(1, ask("[[hang]]")), Generate(1, ask("[[hang]]")))
    assert await client.next(Bye) is None


async def test_another_protocol_is_told_so(raw: Any) -> None:
    """The worker says goodbye instead of guessing."""
    client = await raw("")
    client.send(Hello("gateway", protocol=99))
    assert isinstance(await client.next(), Hello)
    assert "99" in (await client.next(Bye)).reason
    assert await client.next() is None


async def test_numbers_that_nobody_knows_are_fine(raw: Any) -> None:
    """The request may just have ended."""
    client = await raw()
    client.send(Cancel(5), Credit(6, 10), Generate(7, ask("hi")))
    assert (await client.next(Events)).items[0][0] == 7


# ---------------------------------------------------------------- health and leaving


async def test_heartbeats_tell_the_engines_health(start_host: Any, sink: Any) -> None:
    """How many run and wait, and how old the last step is."""
    running = await start_host(heartbeat=0.01)
    await running.load(slots=1)
    heartbeats: asyncio.Queue[Health] = asyncio.Queue()
    connection = await running.connect(
        on_frame=lambda frame: isinstance(frame, Heartbeat) and heartbeats.put_nowait(frame.health)
    )
    for _ in range(2):
        connection.submit(ask("[[hang]]"), sink())
    async with asyncio.timeout(60):
        while (health := await heartbeats.get()).step_age < 0.02:
            pass
    assert (health.running, health.queued) == (1, 1)


async def test_heartbeats_are_no_burden_for_who_does_not_read(start_host: Any) -> None:
    """A stopped gateway misses them instead of making the worker's buffers grow."""
    running = await start_host(heartbeat=0.002)
    client = await RawClient.connect(running.path)
    (connection,) = running.host._clients
    connection.pause_writing()
    before = connection._transport.get_write_buffer_size()
    for _ in range(3):
        connection.notify(Heartbeat(Health(running=99)))
    assert connection._transport.get_write_buffer_size() == before
    connection.resume_writing()
    connection.notify(Heartbeat(Health(running=7)))
    while (heartbeat := await client.next(Heartbeat)).health.running == 0:
        pass
    assert heartbeat.health.running == 7
    await client.close()


async def test_the_host_counts_for_an_engine_that_tells_nothing(start_host: Any, sink: Any) -> None:
    """And for one whose ``health`` is broken."""

    class Silent(EchoEngine):
        health = Engine.health

    class Broken(EchoEngine):
        def health(self) -> Health:
            raise ZeroDivisionError

    for engine in (Silent, Broken):
        running = await start_host(engine)
        await running.load()
        connection = await running.connect()
        connection.submit(ask("[[hang]]"), sink())
        await until(lambda host=running.host: host._health().step_age > 0)
        assert running.host._health().running == 1


async def test_the_worker_leaves_when_its_clients_have_read_to_the_end(echo: Any) -> None:
    """They close, not the worker: what is on its way to one that writes just then would be lost."""
    reader = await RawClient.connect(echo.path)
    connection = await echo.connect()
    echo.supervisor.send(Drain(5))
    async with asyncio.timeout(30):
        await connection.lost
        await echo.supervisor.lost
    assert not echo.host._exit.done()
    assert (await reader.next(Bye)).reason
    await reader.close()
    async with asyncio.timeout(30):
        assert await echo.host.wait() == 0


async def test_drain_finishes_what_runs_and_refuses_the_rest(echo: Any, sink: Any) -> None:
    """The running answer is whole, the late one is unavailable, then the worker leaves."""
    connection = await echo.connect()
    running, late = sink(connection), sink(connection)
    running.rid = connection.submit(ask("a b c d [[delay 0.02]]"), running)
    await running.first.wait()
    echo.supervisor.send(Drain(5))
    await until(lambda: echo.host._leaving)
    late.rid = connection.submit(ask("too late"), late)
    await late.ended.wait()
    assert type(late.error) is HomeStopping
    await running.ended.wait()
    assert running.text == "a b c d"
    assert await echo.host.wait() == 0
    await until(lambda: connection.closed)
    with pytest.raises(EngineDead):
        connection.submit(ask("gone"), sink())


async def test_drain_has_a_deadline_which_may_be_moved(start_host: Any, sink: Any) -> None:
    """What is not done then fails truthfully, and is gone before the engine is closed."""
    running_at_close = []

    class Closing(EchoEngine):
        async def close(self) -> None:
            running_at_close.append(self.health().running)

    running = await start_host(Closing)
    await running.load()
    connection = await running.connect()
    heard = sink(connection)
    heard.rid = connection.submit(ask("a b [[hang after 1]]"), heard)
    await heard.first.wait()
    running.supervisor.send(Drain(1000))
    running.supervisor.send(Drain(0))
    await heard.ended.wait()
    assert type(heard.error) is EngineDead
    assert heard.text == "a"
    assert await running.host.wait() == 0
    assert running_at_close == [0]


async def test_drain_waits_for_slow_readers_too(echo: Any, sink: Any) -> None:
    """An answer that is complete but not read has not been delivered."""
    connection = await echo.connect()
    slow = sink(connection, slow=True)
    slow.rid = connection.submit(ask("a b [[repeat 100]]"), slow)
    await until(lambda: len(slow.events) == WINDOW)
    echo.supervisor.send(Drain(5))
    await until(lambda: echo.host._leaving)
    slow.slow = False
    connection.grant(slow.rid, WINDOW)
    await slow.ended.wait()
    assert slow.error is None
    assert await echo.host.wait() == 0


async def test_an_engine_that_does_not_close_holds_nothing_up(
    start_host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its failure is logged, its endless close is cut short."""

    class Clingy(EchoEngine):
        async def close(self) -> None:
            await asyncio.get_running_loop().create_future()

    monkeypatch.setattr("hoonify_router.worker.host._CLOSE_TIMEOUT", 0.01)
    running = await start_host(Clingy)
    await running.load()
    running.supervisor.send(Drain(0))
    assert await running.host.wait() == 0
