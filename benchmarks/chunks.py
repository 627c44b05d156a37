"""What a token of a stream costs the gateway: CPU microseconds by the clock of its thread, without sockets.

    .venv/bin/python -m benchmarks.chunks [--tokens 2000] [--rounds 40] [--json FILE]

Bytes go into the callbacks of the real connections to a home and come out at the transport of a client's: a server's
stream, with one event per read and with eight, a worker's frames, with tokens of one request and of sixteen, and whole
streams of one token through the empty and the full pipeline. All rows run in every round, so that a busy machine slows
all of them alike; the table shows each row's best round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks.arguments import positive
from benchmarks.pipeline import FULL, MODEL, Entry, Nowhere
from hoonify_router.adapters.base import Job
from hoonify_router.adapters.engine import EngineCall
from hoonify_router.adapters.origin import Origin
from hoonify_router.adapters.pool import Pool
from hoonify_router.adapters.server import Intake, ServerAdapter
from hoonify_router.adapters.upstream import Exchange, UpstreamConnection
from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.chat_chunks import ChatChunks
from hoonify_router.protocol import Events, Hello, encode_frame
from hoonify_router.reply import Reply
from hoonify_router.stream import EventStream
from hoonify_router.types import ChatRequest, HomeView, Message, Text

REQUEST = ChatRequest(model=MODEL, messages=[Message(role="user", content="Hello!")], stream=True)
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
EVENT = (
    b'data: {"id":"chatcmpl-9f8e7d6c5b4a3928","object":"chat.completion.chunk","created":1760000000,'
    b'"model":"theirs","choices":[{"index":0,"delta":{%b},"logprobs":null,"finish_reason":%b}]}\n\n'
)
USAGE = (
    b'data: {"id":"chatcmpl-9f8e7d6c5b4a3928","object":"chat.completion.chunk","created":1760000000,'
    b'"model":"theirs","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":1,"total_tokens":13}}\n\n'
)
_CACHES = bytearray(4 * 1024 * 1024)
END = EVENT % (b"", b'"length"') + USAGE + b"data: [DONE]\n\n"


def as_chunk(data: bytes) -> bytes:
    """Return ``data`` as one chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def token(number: int, more: bytes = b"") -> bytes:
    """Return the event of one token."""
    return EVENT % (b'%b"content":"token%d"' % (more, number), b"null")


class Home(asyncio.WriteTransport):
    """A connection to a home that hears everything and says nothing."""

    def is_closing(self) -> bool:
        return False

    def write(self, data: object) -> None:
        pass

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default


class Streaming(Home):
    """A connection to a server that answers each request with a stream of one token, in three reads."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self._connection = UpstreamConnection(pool)
        self._connection.connection_made(self)
        self._reads = (
            HEAD,
            as_chunk(token(0, b'"role":"assistant",')),
            as_chunk(END) + b"0\r\n\r\n",
        )
        pool.keep(self._connection)

    def write(self, data: object) -> None:
        loop = asyncio.get_running_loop()
        for read in self._reads:
            loop.call_soon(self._connection.data_received, read)


class Row(ABC):
    """One way for tokens through the gateway.

    Args:
        name: In the table.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    async def measure(self, tokens: int) -> float:
        """Return the microseconds per token."""


class ServerRow(Row):
    """A server's stream.

    Args:
        at_once: How many events each read has.
        cold: Whether the core's caches are emptied before each read, as other programs do where tokens come slowly.
    """

    def __init__(self, name: str, at_once: int, cold: bool = False) -> None:
        super().__init__(name)
        self._at_once = at_once
        self._cold = cold

    async def measure(self, tokens: int) -> float:
        """Return the microseconds per token."""
        connection = UpstreamConnection(Pool(Origin("127.0.0.1", 80, False)))
        connection.connection_made(Home())
        home = HomeView(id=MODEL, model=MODEL, backend="openai", kind="server", state="ready")
        intake = Intake(new_stream(), Job("req-1", REQUEST, None, home))
        connection.send(Exchange(b"", intake))
        connection.data_received(HEAD)
        for number in range(3):
            connection.data_received(as_chunk(token(number)))
        count = self._at_once
        reads = [
            b"".join([as_chunk(token(number)) for number in range(first, first + count)])
            for first in range(0, tokens, count)
        ]
        if self._cold:  # which takes its time
            reads = reads[: max(1, tokens // 10)]
        seconds = timed(connection.data_received, reads, self._cold)
        return seconds / (len(reads) * count) * 1e6


class WorkerRow(Row):
    """A worker's frames.

    Args:
        requests: How many each frame has tokens of.
        each: How many tokens of each.
    """

    def __init__(self, name: str, requests: int, each: int) -> None:
        super().__init__(name)
        self._requests = requests
        self._each = each

    async def measure(self, tokens: int) -> float:
        """Return the microseconds per token."""
        encoder = msgspec.msgpack.Encoder()
        connection = WorkerConnection()
        connection.connection_made(Home())
        connection.data_received(encode_frame(Hello("worker"), encoder))
        for _ in range(self._requests):
            call = EngineCall(connection, new_stream())
            call.rid = connection.submit(REQUEST, call)
        count = self._requests * self._each
        frames = [
            encode_frame(
                Events(
                    [
                        (rid, Text(f"token{first + number}"))
                        for number in range(self._each)
                        for rid in range(1, self._requests + 1)
                    ]
                ),
                encoder,
            )
            for first in range(0, tokens, count)
        ]
        began = time.thread_time()
        for frame in frames:
            connection.data_received(frame)
        return (time.thread_time() - began) / (len(frames) * count) * 1e6


class StartRow(Row):
    """Whole streams of one token from a server, through a gateway.

    Args:
        pipeline: Its plugins.
        folder: For its state.
    """

    def __init__(self, name: str, pipeline: Sequence[str], folder: Path) -> None:
        super().__init__(name)
        adapter = ServerAdapter()
        body = json.dumps(
            {
                "model": MODEL,
                "messages": [{"role": "user", "content": "Hello! How are you?"}],
                "max_tokens": 64,
                "stream": True,
            }
        ).encode()
        self.entry = Entry(pipeline, folder, adapter, "http://127.0.0.1:80", body)
        (pool,) = adapter._pools.values()
        Streaming(pool)

    async def measure(self, tokens: int) -> float:
        """Return the microseconds per stream."""
        return await self.entry.measure(tokens // 10)


def timed(receive: Callable[[bytes], object], reads: Sequence[bytes], cold: bool) -> float:
    """Return the seconds that it takes to receive all reads."""
    if not cold:
        began = time.thread_time()
        for read in reads:
            receive(read)
        return time.thread_time() - began
    seconds = 0.0
    for read in reads:
        bytes(_CACHES)
        began = time.thread_time()
        receive(read)
        seconds += time.thread_time() - began
    return seconds


def new_stream() -> EventStream:
    """Return a stream to a client that takes everything."""
    chunks = ChatChunks("chatcmpl-1", 1760000000, MODEL, False)
    return EventStream(Reply(Nowhere(), {}), chunks, 1, lambda: None)


async def run(tokens: int, rounds: int, report: Callable[[str], object]) -> dict[str, float]:
    """Measure, report a table, and return the microseconds of each row by its name."""
    with tempfile.TemporaryDirectory(prefix="hoonify-bench-") as folder:
        starts = [
            StartRow("start of a stream, no plugin", (), Path(folder) / "bare"),
            StartRow("start of a stream, full pipeline", FULL, Path(folder) / "full"),
        ]
        rows: list[Row] = [
            ServerRow("server, one token a read", 1),
            ServerRow("server, one token a read, caches cold", 1, cold=True),
            ServerRow("server, eight tokens a read", 8),
            WorkerRow("worker, one request, one token a frame", 1, 1),
            WorkerRow("worker, one request, eight tokens a frame", 1, 8),
            WorkerRow("worker, sixteen requests, one token each a frame", 16, 1),
            *starts,
        ]
        for start in starts:
            await start.entry.gateway.start()
        best = dict.fromkeys([row.name for row in rows], float("inf"))
        for _ in range(rounds):
            for row in rows:
                best[row.name] = min(best[row.name], await row.measure(tokens))
        for start in starts:
            await start.entry.gateway.stop()
    report(f"{'µs of CPU':<52}{'each':>8}")
    for name, value in best.items():
        report(f"{name:<52}{value:>8.2f}")
    return best


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chunks", description=__doc__)
    parser.add_argument("--tokens", type=positive, default=2000, help="in each measurement")
    parser.add_argument("--rounds", type=positive, default=40)
    parser.add_argument("--json", type=Path, help="where the record goes")
    given = parser.parse_args()
    measured = asyncio.run(run(given.tokens, given.rounds, print))
    if given.json is not None:
        given.json.write_text(json.dumps(measured, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
