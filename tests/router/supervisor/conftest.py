"""A supervisor in the test's own event loop, with real engine processes behind it."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.config import LoadedConfig, load_config
from hoonify_router.errors import RouterError
from hoonify_router.loader import Plugins, load_plugins, plugin_context
from hoonify_router.supervisor.client import SupervisorClient
from hoonify_router.supervisor.commands import Asker, Commands, NoArguments
from hoonify_router.supervisor.console import PlainConsole
from hoonify_router.supervisor.lifecycle import Limits
from hoonify_router.supervisor.memory import GpuMemory
from hoonify_router.supervisor.supervisor import SOCKET_NAME, Supervisor
from hoonify_router.supervisor.uses import Counts
from hoonify_router.types import (
    ChatRequest,
    Counted,
    Event,
    HomeView,
    Message,
    RoutingTable,
    Text,
)

GROUP = "hoonify_router"
ECHO = EntryPoint("echo", "hoonify_backends.echo", GROUP)


class Sink:
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.error: RouterError | None = None
        self.first = asyncio.Event()
        self.ended = asyncio.Event()

    @property
    def text(self) -> str:
        """Return the text so far."""
        return "".join(event.text for event in self.events if isinstance(event, Text))

    def on_events(self, events: Sequence[Event]) -> None:
        """Remember them."""
        self.events += events
        self.first.set()
        if isinstance(events[-1], Counted):
            self.ended.set()

    def on_failure(self, error: RouterError) -> None:
        """Remember it."""
        self.error = error
        self.ended.set()


class SimulatedMemory(GpuMemory):
    """GPUs that the test makes up; by default there are none.

    Args:
        total: Bytes by GPU.
        free: What is free of it; the last answer stays.
    """

    def __init__(self, total: dict[int, int] | None = None, *free: dict[int, int]) -> None:
        self._total = total or {}
        self._free = list(free)
        self.asked = 0

    def total(self) -> dict[int, int]:
        """Return what the test says."""
        return self._total

    async def free(self) -> dict[int, int]:
        """Return the next answer."""
        self.asked += 1
        if not self._free:
            return {}
        return self._free.pop(0) if len(self._free) > 1 else self._free[0]


class Running:
    """A running supervisor and a gateway that listens to it."""

    def __init__(
        self, supervisor: Supervisor, folder: Path, output: io.StringIO, uses: Callable[[], Counts]
    ) -> None:
        self.supervisor = supervisor
        self.folder = folder
        self.output = output
        self.tables: list[RoutingTable] = []
        self.life = asyncio.create_task(supervisor.run())
        commands = Commands()

        async def in_flight(arguments: NoArguments, asker: Asker) -> dict[str, int]:
            return {home: now for home, (now, _) in uses().items()}

        commands.add("in_flight", in_flight)
        self.client = SupervisorClient(
            folder / SOCKET_NAME, self._take, uses=uses, commands=commands
        )
        self.connections: list[WorkerConnection] = []
        self._changed = asyncio.Event()

    def view(self, home_id: str = "parrot") -> HomeView:
        """Return a home as the newest table has it."""
        return next(home for home in self.client.table.homes if home.id == home_id)

    def states(self, home_id: str = "parrot") -> list[str]:
        """Return the states that the tables have shown, in order, each once."""
        states: list[str] = []
        for table in self.tables:
            state = next(home.state for home in table.homes if home.id == home_id)
            if states[-1:] != [state]:
                states.append(state)
        return states

    async def until(
        self, condition: Callable[[HomeView], object], home_id: str = "parrot", patience: float = 20
    ) -> HomeView:
        """Wait for a table in which the home fulfils the condition."""
        async with asyncio.timeout(patience):
            while not (self.client.table.homes and condition(self.view(home_id))):
                self._changed.clear()
                await self._changed.wait()
        return self.view(home_id)

    async def until_state(self, state: str, home_id: str = "parrot") -> HomeView:
        """Wait until the home is in ``state``."""
        return await self.until(lambda home: home.state == state, home_id)

    async def connect(self, home_id: str = "parrot") -> WorkerConnection:
        """Return a connection to the engine of a ready home."""
        home = await self.until_state("ready", home_id)
        self.connections.append(await WorkerConnection.open(home.address))
        return self.connections[-1]

    async def ask(self, text: str, home_id: str = "parrot") -> Sink:
        """Send a request and return its sink."""
        return await self.submit(await self.connect(home_id), text)

    async def submit(self, connection: WorkerConnection, text: str) -> Sink:
        """Send a request over a connection and return its sink."""
        sink = Sink()
        connection.submit(ChatRequest("m", [Message("user", text)]), sink)
        return sink

    async def engine(self, home_id: str = "parrot") -> int:
        """Return the process of a home's engine."""
        status = await self.client.status()
        return next(home.pid for home in status.homes if home.home.id == home_id)

    async def stop(self) -> None:
        """Stop as a signal does and wait for the end."""
        for connection in self.connections:
            connection.close()
        self.client.close()
        self.supervisor.stop()
        async with asyncio.timeout(60):
            await self.life

    def _take(self, table: RoutingTable) -> None:
        self.tables.append(table)
        self._changed.set()


@pytest.fixture
def runtime_dir() -> Iterator[Path]:
    """A private folder with a path short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="hoo-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def plugins() -> Plugins:
    """The echo backend alone."""
    return load_plugins(entry_points=[ECHO])


LoadYaml = Callable[[str], LoadedConfig]


@pytest.fixture
def load_yaml(tmp_path: Path, plugins: Plugins) -> LoadYaml:
    """Turn YAML text into a checked configuration."""

    def load(text: str) -> LoadedConfig:
        path = tmp_path / "router.yaml"
        path.write_text(text)
        return load_config(
            path,
            backend_options=plugins.backend_options,
            plugin_settings=plugins.plugin_settings,
            balancer_settings=plugins.balancer_settings,
            env={},
        )

    return load


StartSupervisor = Callable[..., Awaitable[Running]]


@pytest.fixture
async def supervise(
    load_yaml: LoadYaml, plugins: Plugins, runtime_dir: Path
) -> AsyncIterator[StartSupervisor]:
    """``await supervise(yaml, load_stall=0.5)``: a running supervisor, gone after the test."""
    started: list[Running] = []

    async def start(
        text: str,
        *,
        using: Plugins | None = None,
        uses: Callable[[], Counts] = dict,
        memory: GpuMemory | None = None,
        **limits: Any,
    ) -> Running:
        output = io.StringIO()
        supervisor = Supervisor(
            plugin_context(load_yaml(text)),
            using or plugins,
            runtime_dir=runtime_dir,
            address="http://127.0.0.1:8000",
            console=PlainConsole(output),
            limits=Limits(**limits),
            memory=memory or SimulatedMemory(),
        )
        running = Running(supervisor, runtime_dir, output, uses)
        started.append(running)
        await running.client.connect()
        return running

    yield start
    for running in started:
        await running.stop()
        assert not [name for name in os.listdir(runtime_dir) if name.endswith(".sock")]


@pytest.fixture
def kill() -> Callable[[int], None]:
    """Kill a process as the kernel would for want of memory."""

    def sigkill(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    return sigkill
