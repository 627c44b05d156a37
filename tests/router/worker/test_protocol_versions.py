"""Routers and workers of two versions of the protocol work together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.errors import EngineDead
from hoonify_router.protocol import (
    OLDEST_PROTOCOL,
    PROTOCOL_VERSION,
    Events,
    Generate,
    Hello,
    Ready,
    agreed_protocol,
    encode_frame,
)
from hoonify_router.types import Capabilities, ChatRequest, Counted, Finish, Message, Text, Usage

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class OldHello(msgspec.Struct, tag="hello"):
    """What version 1 said, and all that it read."""

    role: str
    protocol: int = 1
    version: str = ""
    pid: int = 0


async def old_worker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one request as a worker of version 1 does: it parts from whoever does not say 1."""
    encoder = msgspec.msgpack.Encoder()

    async def read(kind: Any) -> Any:
        size = int.from_bytes(await reader.readexactly(4), "big")
        return msgspec.msgpack.decode(await reader.readexactly(size), type=kind)

    def tell(frame: msgspec.Struct) -> None:
        writer.write(encode_frame(frame, encoder))

    hello = await read(OldHello)
    tell(OldHello("worker", 1, "0.0.9", 7))
    if hello.protocol == 1:
        tell(Ready(Capabilities(frozenset(), 99)))
        asked = await read(Generate)
        said = [Text("hello"), Finish("stop"), Counted(Usage(1, 1))]
        tell(Events([(asked.rid, event) for event in said]))
        await reader.read()


@contextlib.asynccontextmanager
async def scripted(path: Path, serve: Serve) -> AsyncIterator[None]:
    """Run a worker that plays a script; it has ended when this ends."""
    scripts: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        scripts.add(task)
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_unix_server(play, str(path))
    try:
        yield
    finally:
        server.close()
        if scripts:
            await asyncio.wait(scripts)


async def test_a_worker_of_the_version_before_serves(private_dir: Path, sink: Any) -> None:
    """It is greeted in words that it understands, and its answer is one like any other."""
    path = private_dir / "old.sock"
    async with scripted(path, old_worker):
        connection = await WorkerConnection.open(path)
        answer = sink(connection)
        answer.rid = connection.submit(ChatRequest("m", [Message("user", "hi")]), answer)
        await asyncio.wait_for(answer.ended.wait(), 30)
        assert answer.text == "hello"
        assert connection.peer is not None
        assert connection.peer.protocol == 1
        connection.close()


async def test_a_router_of_the_version_before_is_served(start_host: Any) -> None:
    """It says 1, and hears 1."""
    running = await start_host()
    await running.load()
    reader, writer = await asyncio.open_unix_connection(str(running.path))
    writer.write(encode_frame(OldHello("gateway"), msgspec.msgpack.Encoder()))
    size = int.from_bytes(await reader.readexactly(4), "big")
    hello = msgspec.msgpack.decode(await reader.readexactly(size), type=OldHello)
    assert (hello.role, hello.protocol) == ("worker", 1)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_two_of_today_speak_the_newest(start_host: Any) -> None:
    """As both say."""
    running = await start_host()
    connection = await running.connect()
    assert connection.peer.protocol == connection.peer.newest == PROTOCOL_VERSION


@pytest.mark.parametrize(
    ("oldest", "newest", "agreed"),
    [
        (1, 0, 1),
        (OLDEST_PROTOCOL, PROTOCOL_VERSION, PROTOCOL_VERSION),
        (PROTOCOL_VERSION, PROTOCOL_VERSION + 1, PROTOCOL_VERSION),
        (PROTOCOL_VERSION + 1, PROTOCOL_VERSION + 2, None),
        (0, 0, None),
    ],
)
def test_both_speak_the_newest_that_both_know(oldest: int, newest: int, agreed: int | None) -> None:
    """Or part from each other."""
    assert agreed_protocol(Hello("gateway", oldest, newest=newest)) == agreed


async def test_a_worker_of_the_future_is_told_apart(private_dir: Path) -> None:
    """Its connection is closed: what it would say might mean something else."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = Hello("worker", PROTOCOL_VERSION + 1, newest=PROTOCOL_VERSION + 1)
        writer.write(encode_frame(hello, msgspec.msgpack.Encoder()))
        await reader.read()

    path = private_dir / "new.sock"
    async with scripted(path, serve):
        with pytest.raises(EngineDead):
            await WorkerConnection.open(path, patience=30)
