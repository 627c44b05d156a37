"""A door that is open on this machine, with homes that the test plays."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

import pytest
import uvloop
from openai import AsyncOpenAI
from sanic import Sanic
from tests.router.doubles import Stage, gateway

from hoonify_router.api import APIRoute, Middleware, Route
from hoonify_router.connection import ClientProtocol
from hoonify_router.door import open_door
from hoonify_router.gateway import Gateway
from hoonify_router.gateway_process import create_app

_NUMBERS = itertools.count(1)


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on uvloop, as gateways do."""
    return {"uvloop": uvloop.new_event_loop}


class Line:
    """A client that speaks HTTP by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def post(
        self, body: dict[str, Any] | None = None, path: str = "/v1/chat/completions", **headers: str
    ) -> None:
        """Send a chat request."""
        told = {"model": "parrot", "messages": [{"role": "user", "content": "hi"}], **(body or {})}
        data = json.dumps(told).encode()
        given = {"host": "x", "content-type": "application/json", **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
        self.send(
            f"POST {path} HTTP/1.1\r\n{head}content-length: {len(data)}\r\n\r\n".encode() + data
        )

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read status and headers."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")[:-2]
        pairs = (line.partition(": ") for line in lines[1:])
        return int(lines[0].split()[1]), {name.lower(): value for name, _, value in pairs}

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read a whole answer."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while piece := await self.chunk():
                body += piece
            return status, headers, body
        if "content-length" in headers:
            return status, headers, await self.reader.readexactly(int(headers["content-length"]))
        return status, headers, await self.reader.read()

    async def chunk(self) -> bytes:
        """Read one chunk of a stream."""
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return data

    def leave(self) -> None:
        """Hang up."""
        self.writer.transport.abort()


class Door:
    """What is open, and who is behind it."""

    def __init__(self, app: Sanic[Any, Any], made: Gateway, stage: Stage) -> None:
        self.app = app
        self.gateway = made
        self.stage = stage
        self._socket = open_door("127.0.0.1", 0)
        self.port = int(self._socket.getsockname()[1])
        self._lines: list[Line] = []
        self._server: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        self._server = await self.app.create_server(
            sock=self._socket, protocol=ClientProtocol, return_asyncio_server=True
        )
        await self._server.startup()
        await self._server.before_start()
        await self._server.start_serving()

    async def line(self) -> Line:
        """Connect a client."""
        line = Line(*await asyncio.open_connection("127.0.0.1", self.port))
        self._lines.append(line)
        return line

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send bytes on a new connection and read one answer."""
        line = await self.line()
        line.send(data)
        return await line.answer()

    async def get(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Ask for something and read JSON."""
        given = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        status, told, body = await self.ask(
            f"{method} {path} HTTP/1.1\r\nhost: x\r\n{given}\r\n".encode()
        )
        return status, told, json.loads(body)

    def client(self) -> AsyncOpenAI:
        """Return the unmodified SDK."""
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key="hoo_x", max_retries=0, timeout=10)

    async def close(self) -> None:
        if self._server is None:
            return
        server, self._server = self._server, None
        for line in self._lines:
            line.writer.close()
        await self.gateway.drain(5)
        await server.close()
        for connection in list(server.connections):
            connection.abort()
        while server.connections:  # noqa: ASYNC110 - closed by callbacks
            await asyncio.sleep(0)
        await self.gateway.stop()
        Sanic.unregister_app(self.app)


OpenDoor = Callable[..., Awaitable[Door]]


@pytest.fixture
async def open_up(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenDoor]:
    """Open doors that are closed after the test: ``await open_up(script, [middleware])``."""
    monkeypatch.setattr(Sanic, "test_mode", True)  # lets one process start several apps
    doors: list[Door] = []

    async def open_up(
        script: Any = None,
        middleware: Iterable[Middleware] = (),
        *,
        routes: Sequence[Route | APIRoute] = (),
        **more: Any,
    ) -> Door:
        stage = script if isinstance(script, Stage) else Stage(script)
        made = gateway(stage, middleware, **more)
        app = create_app(made, f"door_{next(_NUMBERS)}", routes)
        door = Door(app, made, stage)
        doors.append(door)
        await door.open()
        return door

    yield open_up
    for door in doors:
        await door.close()
