"""A worker host in the test's own event loop, and sinks that remember what they hear."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hoonify_backends.echo.engine import EchoEngine
from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.api import Engine
from hoonify_router.errors import RouterError
from hoonify_router.protocol import Load, LoadFailed, Ready
from hoonify_router.types import Counted, Event, Reasoning, Text
from hoonify_router.worker.host import Host


class Sink:
    """Remembers events and grants each at once, unless it is a slow one."""

    def __init__(self, connection: WorkerConnection | None = None, *, slow: bool = False) -> None:
        self.connection = connection
        self.slow = slow
        self.rid = 0
        self.events: list[Event] = []
        self.error: RouterError | None = None
        self.calls_after_end = 0
        self.ended = asyncio.Event()
        self.first = asyncio.Event()

    @property
    def text(self) -> str:
        """Return the text of answer 0."""
        return "".join(e.text for e in self.events if isinstance(e, Text) and e.index == 0)

    @property
    def reasoning(self) -> str:
        """Return what was reasoned."""
        return "".join(e.text for e in self.events if isinstance(e, Reasoning))

    def on_events(self, events: Sequence[Event]) -> None:
        """Remember them."""
        self.calls_after_end += self.ended.is_set()
        self.events += events
        self.first.set()
        if self.connection is not None and not self.slow:
            self.connection.grant(self.rid, len(events))
        if isinstance(events[-1], Counted):
            self.ended.set()

    def on_failure(self, error: RouterError) -> None:
        """Remember it."""
        self.calls_after_end += self.ended.is_set()
        self.error = error
        self.ended.set()


class RunningHost:
    """A host on a socket, and connections to it."""

    def __init__(self, host: Host, path: Path) -> None:
        self.host = host
        self.path = path
        self.frames: list[Any] = []
        self.connections: list[WorkerConnection] = []
        self.supervisor: WorkerConnection | None = None
        self._outcome: asyncio.Future[Ready | LoadFailed] = asyncio.Future()

    async def connect(self, role: Any = "gateway", on_frame: Any = None) -> WorkerConnection:
        """Return one more connection."""
        connection = await WorkerConnection.open(self.path, role, on_frame)
        self.connections.append(connection)
        return connection

    async def load(self, **options: Any) -> Ready | LoadFailed:
        """Load the engine as a supervisor does and return how it went."""
        self.supervisor = await self.connect("supervisor", self._hear)
        self.supervisor.send(Load(options))
        return await self._outcome

    def _hear(self, frame: Any) -> None:
        self.frames.append(frame)
        if isinstance(frame, Ready | LoadFailed) and not self._outcome.done():
            self._outcome.set_result(frame)


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Any]:
    """Run tests on both loops: workers and gateways take uvloop where it is installed."""
    loops: dict[str, Any] = {"asyncio": asyncio.new_event_loop}
    with contextlib.suppress(ImportError):
        loops["uvloop"] = importlib.import_module("uvloop").new_event_loop
    if item.path.name == "test_main.py":
        loops.pop("uvloop", None)  # real processes, which take the loop they like
    return loops


@pytest.fixture
def private_dir() -> Iterator[Path]:
    """A folder of mode 0700 whose path is short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="hoo-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def sink() -> type[Sink]:
    """The class ``Sink``."""
    return Sink


StartHost = Callable[..., Awaitable[RunningHost]]


@pytest.fixture
async def start_host(private_dir: Path) -> AsyncIterator[StartHost]:
    """``await start_host(EngineClass, heartbeat=1.0)``."""
    servers: list[tuple[asyncio.Server, RunningHost]] = []

    async def start(
        engine: Callable[[], type[Engine[Any]]] | type[Engine[Any]] = EchoEngine, **settings: Any
    ) -> RunningHost:
        find = (lambda: engine) if isinstance(engine, type) else engine
        host = Host(find, "test", **settings)
        path = private_dir / f"{len(servers)}.sock"
        server = await asyncio.get_running_loop().create_unix_server(host.connect, str(path))
        servers.append((server, running := RunningHost(host, path)))
        return running

    yield start
    for server, running in servers:
        for connection in running.connections:
            connection.close()
        running.host.drain(0)
        await running.host.wait()
        await running.host.part_from_all(1)
        server.close()
        await server.wait_closed()


@pytest.fixture
async def echo(start_host: StartHost) -> RunningHost:
    """A host with a loaded echo engine."""
    running = await start_host()
    assert isinstance(await running.load(slots=64), Ready)
    return running
