"""Homes under test: an engine in a worker process of its own, or a server that runs somewhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.errors import EngineDead, ModelUnavailable
from hoonify_router.protocol import Drain, Heartbeat, Load, LoadFailed, Progress, Ready
from hoonify_router.supervisor.launched_home import LaunchedHome
from hoonify_router.supervisor.plan import HomePlan
from hoonify_router.supervisor.process import EngineProcess
from hoonify_router.supervisor.server_home import base_url
from hoonify_router.supervisor.worker_start import start_worker
from hoonify_router.testing.records import NotApplicable, Unmet
from hoonify_router.types import Capabilities, Health, HomeView

Role = Literal["gateway", "supervisor"]


class HomeUnderTest(ABC):
    """Something that a gateway can ask."""

    capabilities: Capabilities | None = None

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Return whether it can be asked."""

    @property
    @abstractmethod
    def view(self) -> HomeView:
        """Return it as a supervisor would publish it."""

    @abstractmethod
    async def start(self) -> None:
        """Bring it to life.

        Raises:
            Unmet: It cannot be.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Take it down; harmless where it is down."""

    async def idle(self, within: float) -> None:  # noqa: B027 - most servers do not tell
        """Wait until nothing runs and nothing waits, where the home tells that.

        Raises:
            Unmet: That is not so in time.
        """

    def kill(self) -> None:
        """Kill its process, as the kernel does when memory is short."""
        raise NotApplicable("it is not ours to kill")

    @property
    def last_words(self) -> str:
        """Return what it last wrote of what went wrong, on one line; empty where it says nothing."""
        return ""


class ServerHomeUnderTest(HomeUnderTest):
    """A server that already runs: nothing is started or stopped.

    Args:
        plan: The home; its ``url`` is set.
    """

    def __init__(self, plan: HomePlan) -> None:
        self._plan = plan
        self.alive_now = False

    @property
    def alive(self) -> bool:
        """Return whether it was found."""
        return self.alive_now

    @property
    def view(self) -> HomeView:
        """Return it as it is in a routing table."""
        plan = self._plan
        return HomeView(
            id=plan.id,
            model=plan.model,
            backend=plan.backend.name,
            kind="server",
            state="ready",
            address=base_url(plan.home.url or ""),
            served_name=str(plan.options.get("model") or plan.model),
            api_key=plan.home.api_key or "",
        )

    async def start(self) -> None:
        """Look whether it answers."""
        from hoonify_router.supervisor.lifecycle import Trouble
        from hoonify_router.supervisor.probe import probe

        try:
            await probe(base_url(self._plan.home.url or ""), self._plan.home.api_key)
        except Trouble as trouble:
            raise Unmet(f"the server cannot be asked: {trouble.reason} {trouble.detail}") from None
        self.alive_now = True

    async def stop(self) -> None:
        """It is not ours."""


class LaunchedUnderTest(HomeUnderTest):
    """A server that is started as the supervisor starts it, on a port and with a key of its own.

    Args:
        plan: The home.
        folder: Private folder for its files.
    """

    def __init__(self, plan: HomePlan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._home: LaunchedHome | None = None
        self._life: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Return whether it may be asked."""
        return self._home is not None and self._home.life.state == "ready"

    @property
    def view(self) -> HomeView:
        """Return it as it is in a routing table."""
        assert self._home is not None
        return self._home.view

    async def start(self) -> None:
        """Launch it and wait until it has answered its first request."""
        await self.stop()
        home = self._home = LaunchedHome(self._plan, lambda home: None, self._folder)
        self._life = asyncio.create_task(home.run())
        try:
            await home.ensure_ready()
        except ModelUnavailable:
            raise Unmet(f"{home.life.reason} {home.life.detail[-400:]}".strip()) from None
        self.capabilities = home.capabilities

    async def stop(self) -> None:
        """Take it down."""
        home, self._home = self._home, None
        if home is not None and self._life is not None:
            home.stop()
            await self._life

    async def idle(self, within: float) -> None:
        """Wait until it says that nothing runs; one that does not tell is believed."""
        try:
            async with asyncio.timeout(within):
                while self._home is not None and self._busy(self._home.health):  # noqa: ASYNC110 - it tells once a second
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise Unmet(f"a slot is not given back: after {within:g} s it still works") from None

    def kill(self) -> None:
        """Kill it."""
        assert self._home is not None
        self._home.kill()

    @staticmethod
    def _busy(health: Health) -> bool:
        return bool(health.running or health.queued)


class Worker(HomeUnderTest):
    """A worker that is spoken to in frames, wherever it runs."""

    def __init__(self, plan: HomePlan, socket: Path) -> None:
        self.plan = plan
        self.socket = socket
        self.health: Health | None = None
        self.beats = 0
        self.load_seconds = 0.0
        self.progress: list[Progress] = []
        self.supervisor: WorkerConnection | None = None
        self._outcome: asyncio.Future[Ready | LoadFailed] | None = None
        self._connections: list[WorkerConnection] = []
        self._beat: asyncio.Future[None] | None = None

    @property
    def alive(self) -> bool:
        """Return whether it is loaded and connected."""
        return (
            self.capabilities is not None
            and self.supervisor is not None
            and not self.supervisor.closed
        )

    @property
    def view(self) -> HomeView:
        """Return it as it is in a routing table."""
        plan = self.plan
        return HomeView(
            id=plan.id,
            model=plan.model,
            backend=plan.backend.name,
            kind="worker",
            state="ready",
            address=str(self.socket),
            capabilities=self.capabilities,
        )

    @property
    def fault(self) -> str:
        """Return what to add to a fault: what the worker wrote of it, if it did."""
        return f" ({self.last_words})" if self.last_words else ""

    async def connect(
        self, role: Role = "gateway", on_frame: Callable[[Any], None] | None = None
    ) -> WorkerConnection:
        """Return one more connection; it is closed with the worker."""
        connection = await WorkerConnection.open(self.socket, role, on_frame, patience=30)
        self._connections.append(connection)
        return connection

    async def load(self) -> Ready | LoadFailed:
        """Load the engine as a supervisor does; return how it went."""
        loop = asyncio.get_running_loop()
        self.capabilities, self.health, self.beats = None, None, 0
        self.progress = []
        self._outcome = loop.create_future()
        self.supervisor = await self.connect("supervisor", self._hear)
        self.supervisor.send(Load(self.plan.options))
        began = loop.time()
        told: set[asyncio.Future[Any]] = {self._outcome, self.supervisor.lost}
        await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
        if not self._outcome.done():
            raise Unmet(f"the worker ended while it loaded{self.fault}")
        outcome = self._outcome.result()
        self.load_seconds = loop.time() - began
        if isinstance(outcome, Ready):
            self.capabilities = outcome.capabilities
        return outcome

    async def load_well(self) -> None:
        """Load the engine.

        Raises:
            Unmet: It cannot be loaded.
        """
        outcome = await self.load()
        if isinstance(outcome, LoadFailed):
            raise Unmet(f"the engine does not load: {outcome.kind}: {outcome.message}{self.fault}")

    async def next_beat(self) -> Health:
        """Wait for the next heartbeat and return what it says."""
        self._beat = self._beat or asyncio.get_running_loop().create_future()
        await asyncio.shield(self._beat)
        assert self.health is not None
        return self.health

    async def idle(self, within: float) -> None:
        """Wait until a heartbeat says that nothing runs and nothing waits.

        Raises:
            Unmet: None does so in time.
        """
        try:
            async with asyncio.timeout(within):
                while True:
                    health = await self.next_beat()
                    if not health.running and not health.queued:
                        return
        except TimeoutError:
            told = "no heartbeat came"
            if (last := self.health) is not None:
                told = f"it still says {last.running} running and {last.queued} queued"
            raise Unmet(f"a slot is not given back: after {within:g} s {told}") from None

    def drain(self, deadline: float) -> None:
        """Tell it to finish and leave."""
        assert self.supervisor is not None
        self.supervisor.send(Drain(deadline))

    def part(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def _hear(self, frame: Any) -> None:
        if isinstance(frame, Progress):
            self.progress.append(frame)
        elif isinstance(frame, Ready | LoadFailed):
            if self._outcome is not None and not self._outcome.done():
                self._outcome.set_result(frame)
        elif isinstance(frame, Heartbeat):
            self.health = frame.health
            self.beats += 1
            beat, self._beat = self._beat, None
            if beat is not None and not beat.done():
                beat.set_result(None)


class WorkerProcess(Worker):
    """An engine in a process of its own, started as the supervisor starts it.

    Args:
        plan: The home.
        folder: Private folder for its sockets, with a short path.
    """

    def __init__(self, plan: HomePlan, folder: Path) -> None:
        super().__init__(plan, folder / "0.sock")
        self._folder = folder
        self._starts = 0
        self.process: EngineProcess | None = None

    @property
    def running_process(self) -> EngineProcess:
        """Return the process."""
        assert self.process is not None
        return self.process

    @property
    def last_words(self) -> str:
        """Return the last line that it wrote of an error."""
        lines = self.process.tail.splitlines() if self.process is not None else []
        told = [line for line in lines if "rror" in line or "broke its contract" in line]
        return told[-1].strip() if told else ""

    async def spawn(self) -> None:
        """Start the process and wait until its socket is there.

        Raises:
            Unmet: It ends before that.
        """
        self._starts += 1
        self.socket = self._folder / f"{self._starts}.sock"
        try:
            process = await start_worker(self.plan, self.socket)
        except OSError as error:
            raise Unmet(f"{self.plan.interpreter} cannot be started: {error}") from error
        self.process = process
        while not self.socket.exists() and not process.exited.done():  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.02)
        if process.exited.done():
            raise Unmet(f"the worker does not start: {process.ending}: {process.tail[-400:]}")

    async def connect(
        self, role: Role = "gateway", on_frame: Callable[[Any], None] | None = None
    ) -> WorkerConnection:
        """Return one more connection; a worker that has just been started may take a moment."""
        while True:
            try:
                return await super().connect(role, on_frame)
            except EngineDead:  # its socket is bound, and it does not listen yet
                if self.capabilities is not None:
                    raise
                if self.running_process.exited.done():
                    raise Unmet(f"the worker ends: {self.running_process.tail[-400:]}") from None
            await asyncio.sleep(0.02)

    async def start(self) -> None:
        """Start and load it."""
        await self.stop()
        await self.spawn()
        await self.load_well()

    async def stop(self) -> None:
        """End it and everything that it has started."""
        self.part()
        self.capabilities = None
        process, self.process = self.process, None
        if process is not None:
            await process.end(2.0)
            self.socket.unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill it, as the kernel does when memory is short."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.running_process.pid, signal.SIGKILL)

    async def gone(self, within: float) -> bool:
        """Wait for its end; tell whether it came in time."""
        await asyncio.wait({self.running_process.exited}, timeout=within)
        return self.running_process.exited.done()

    def hang_up(self) -> None:
        """Close the death pipe, as the end of the supervisor would."""
        self.running_process.hang_up()
