"""What a request costs in Python: from the bytes of a client's socket to the bytes of its answer, without sockets.

    .venv/bin/python -m benchmarks.path [--requests 200] [--rounds 60] [--kind request] [--entry full]
    .venv/bin/python -m benchmarks.path --steps 40

One gateway with the whole pipeline is put together in this process; its client's connection and its connection to a
home are the real ones, but for transports that hand bytes over at once. So what is measured is what the router itself does,
by the clock of the gateway's thread, and nothing of the kernel, of which a change of the code changes nothing either.
Bare and full run in every round, so that a busy machine slows both alike; each one's best round is shown.

``--steps`` counts the interpreter's steps instead, by function: the same on every machine, whatever else runs there.
They are not all alike, and what C does in between is not counted; but what takes less of them is quicker.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import uvloop
from sanic import Sanic

from benchmarks.arguments import positive
from benchmarks.pipeline import FULL, HEADERS, MODEL, Entry
from hoonify_router.adapters.server import ServerAdapter
from hoonify_router.adapters.upstream import UpstreamConnection
from hoonify_router.catalog import Catalog
from hoonify_router.connection import ClientProtocol
from hoonify_router.gateway import Gateway
from hoonify_router.types import HomeView, RoutingTable

ADDRESS = "http://127.0.0.1:9"
_PIECE = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"mock",'
    b'"choices":[{"index":0,"delta":{"content":"tok "},"finish_reason":null}]}\n\n'
)


def request_bytes(stream: bool, prompt: int) -> bytes:
    """Return a whole request with ``prompt`` bytes of prompt."""
    chat: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello! " * (prompt // 7)}],
        "max_tokens": 64,
    }
    if stream:
        chat["stream"] = True
    body = json.dumps(chat).encode()
    fields = {**HEADERS, "host": "127.0.0.1", "content-length": str(len(body))}
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
    return f"POST /v1/chat/completions HTTP/1.1\r\n{lines}\r\n".encode() + body


def answer_bytes(tokens: int) -> list[bytes]:
    """Return what a home's connection receives: an answer in one piece, or the parts of a stream of ``tokens``."""
    if not tokens:
        body = (
            b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"mock","choices":[{"index":0,'
            b'"message":{"role":"assistant","content":"I am well, thank you. How can I help you today?"},'
            b'"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":12,"total_tokens":24}}'
        )
        return [
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(body), body)
        ]
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    chunk = b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE)
    end = (
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"mock",'
        b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"mock",'
        b'"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":12,"total_tokens":24}}\n\n'
        b"data: [DONE]\n\n"
    )
    return [
        head + chunk,
        *[chunk] * (tokens - 1),
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(end), end),
    ]


KINDS = {
    "request": (request_bytes(False, 18), answer_bytes(0)),
    "32 KB prompt": (request_bytes(False, 32_000), answer_bytes(0)),
    "stream start": (request_bytes(True, 18), answer_bytes(1)),
    "stream of 101": (request_bytes(True, 18), answer_bytes(101)),
}
ENTRIES: dict[str, Sequence[str]] = {"bare": (), "full": FULL}


class Transport(asyncio.Transport):
    """A connection whose other end is in this process."""

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class ToClient(Transport):
    """The client's; tells when an answer's last bytes have come."""

    def __init__(self) -> None:
        super().__init__()
        self.done: asyncio.Future[None] | None = None
        self.streams = False
        self.first = b""

    def write(self, data: Any) -> None:
        if not self.first:
            self.first = data[:15]
        if (not self.streams or data.endswith(b"0\r\n\r\n")) and self.done is not None:
            self.done.set_result(None)


class ToHome(Transport):
    """A home's: whatever is asked, the same answer comes, each part in a turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: Sequence[bytes] = ()
        self.connection: UpstreamConnection | None = None

    def write(self, data: Any) -> None:
        assert self.connection is not None
        for part in self.parts:
            asyncio.get_running_loop().call_soon(self.connection.data_received, part)


class Way(Entry):
    """One gateway, its client and its home."""

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        super().__init__(names, folder)
        adapter = ServerAdapter()
        old = self.gateway
        catalog = Catalog(old.config, {})
        self.gateway = Gateway(
            old.config, list(old.middleware().values()), {"server": adapter}, catalog
        )
        home = HomeView(
            id=MODEL,
            model=MODEL,
            backend="openai",
            kind="server",
            state="ready",
            address=ADDRESS,
            served_name="mock",
        )
        self.gateway.on_table(RoutingTable(1, (home,)))
        (pool,) = adapter._pools.values()
        self.home = ToHome()
        connection = self.home.connection = UpstreamConnection(pool)
        connection.connection_made(self.home)
        pool.keep(connection)
        self.client = ToClient()

    async def begin(self) -> None:
        """Start the gateway, and let the client connect."""
        await self.gateway.start()
        Sanic.test_mode = True
        app = Sanic(f"bench-{id(self)}", configure_logging=False)
        app.ctx.gateway = self.gateway
        app.signalize(allow_fail_builtin=False)
        loop = asyncio.get_running_loop()
        self.protocol: Any = ClientProtocol(  # Sanic has no types
            loop=loop, app=app, connections=set(), state={}, unix=None
        )
        self.protocol.connection_made(self.client)  # type: ignore[no-untyped-call]  # Sanic has no types
        await asyncio.sleep(0.05)  # Sanic looks at its connection

    async def end(self) -> None:
        """Let the client leave, and stop the gateway."""
        self.protocol.connection_lost(None)
        await self.gateway.stop()

    async def measure_path(self, requests: int, data: bytes, parts: Sequence[bytes]) -> float:
        """Return the microseconds per request."""
        loop = asyncio.get_running_loop()
        client, receive = self.client, self.protocol.data_received
        client.streams = len(parts) > 1
        self.home.parts = parts
        began = time.thread_time()
        for _ in range(requests):
            client.done = loop.create_future()
            client.first = b""
            receive(data)
            await client.done
            if client.first != b"HTTP/1.1 200 OK":
                raise RuntimeError(f"a request failed: {client.first!r}")
        return (time.thread_time() - began) / requests * 1e6


class Steps:
    """Counts the interpreter's steps and the calls of Python functions.

    Attributes:
        steps: By function.
        calls: By function.
    """

    def __init__(self) -> None:
        self.steps: Counter[CodeType] = Counter()
        self.calls: Counter[CodeType] = Counter()

    def __enter__(self) -> Steps:
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.calls[frame.f_code] += 1
        return self._stepped

    def _stepped(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            self.steps[frame.f_code] += 1
        return self._stepped


async def count_steps(names: Sequence[str], kind: str, requests: int = 20) -> Steps:
    """Return the steps of ``requests`` requests of a kind, after as many that are not counted."""
    data, parts = KINDS[kind]
    with tempfile.TemporaryDirectory(prefix="hoonify-bench-") as folder:
        way = Way(names, Path(folder) / "way")
        await way.begin()
        await way.measure_path(requests, data, parts)
        with Steps() as steps:
            await way.measure_path(requests, data, parts)
        await way.end()
    return steps


async def print_steps(given: argparse.Namespace) -> None:
    """Count and print the functions that take most."""
    requests = 20
    entry, kind = given.entry or "full", given.kind or "request"
    found = await count_steps(ENTRIES[entry], kind, requests)
    total, calls = found.steps.total() / requests, found.calls.total() / requests
    print(f"{kind}, {entry}: {total:.0f} steps and {calls:.0f} calls of functions a request")
    for code, steps in found.steps.most_common(given.steps):
        where = "/".join(Path(code.co_filename).parts[-2:])
        print(f"{steps / requests:8.1f}  {code.co_qualname} ({where}:{code.co_firstlineno})")


async def run(given: argparse.Namespace) -> None:
    """Measure and print."""
    kinds = {name: kind for name, kind in KINDS.items() if given.kind in (None, name)}
    with tempfile.TemporaryDirectory(prefix="hoonify-bench-") as folder:
        ways = {
            name: Way(names, Path(folder) / name)
            for name, names in ENTRIES.items()
            if given.entry in (None, name)
        }
        for way in ways.values():
            await way.begin()
        gc.collect()
        gc.freeze()  # as in a gateway
        gc.set_threshold(50_000)
        best: dict[tuple[str, str], float] = {}
        for number in range(given.rounds):
            for kind, (data, parts) in kinds.items():
                for name, way in ways.items():
                    count = max(1, given.requests // len(parts))
                    cost = await way.measure_path(count, data, parts)
                    if number or given.rounds == 1:
                        best[kind, name] = min(best.get((kind, name), cost), cost)
        for way in ways.values():
            await way.end()
    for kind in kinds:
        print(f"{kind:<16}" + "".join(f"{name}: {best[kind, name]:7.1f}   " for name in ways))


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.path", description=__doc__)
    parser.add_argument("--requests", type=positive, default=200, help="in each measurement")
    parser.add_argument("--rounds", type=positive, default=60)
    parser.add_argument("--entry", choices=tuple(ENTRIES))
    parser.add_argument("--kind", choices=tuple(KINDS))
    parser.add_argument("--steps", type=int, metavar="N", help="count steps, show N functions")
    given = parser.parse_args()
    uvloop.run(run(given) if given.steps is None else print_steps(given))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
