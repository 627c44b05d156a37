"""The controller of a home whose engine runs in a worker process: every effect, no policy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.errors import EngineDead
from hoonify_router.protocol import Drain, Heartbeat, Load, LoadFailed, Progress, Ready
from hoonify_router.supervisor import lifecycle
from hoonify_router.supervisor.engine_home import CRASHED, NO_MEMORY, NOT_LOADED, EngineHome
from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.lifecycle import Trouble
from hoonify_router.supervisor.plan import HomePlan
from hoonify_router.supervisor.process import EngineProcess
from hoonify_router.supervisor.warm_up import warm_up
from hoonify_router.supervisor.worker_start import start_worker

_CONNECT_INTERVAL = 0.02


class WorkerHome(EngineHome):
    """Starts, loads, warms up, watches, restarts and stops one engine worker.

    Args:
        plan: What it should be.
        on_change: Called when what is published of it has changed.
        sockets: Private folder for its sockets.
        number: Tells its sockets from those of other homes.
    """

    def __init__(
        self, plan: HomePlan, on_change: Callable[[Home], None], sockets: Path, number: int
    ) -> None:
        super().__init__(plan, on_change)
        self._sockets = sockets
        self._number = number
        self._socket = sockets
        self._connection: WorkerConnection | None = None
        self._outcome: asyncio.Future[Ready | LoadFailed] = self._loop.create_future()

    async def _bring_up(self) -> None:
        self._outcome = self._loop.create_future()
        name = f"{os.getpid()}-{self._number}-{self.life.starts}.sock"
        socket = self._socket = self._sockets / name
        process = self._process = await self._spawn(socket)
        connection = self._connection = await self._guarded(self._connect(process, socket))
        self._set(lifecycle.connected(self.life, self._loop.time()))
        connection.send(Load(self.plan.options))
        await self._guarded(self._loaded(connection))
        self._progressed("warming up")
        await self._guarded(warm_up(connection, self.plan.model, self.capabilities))
        self.address = str(socket)

    async def _spawn(self, socket: Path) -> EngineProcess:
        try:
            return await start_worker(self.plan, socket)
        except OSError as exc:
            told = f"{self.plan.interpreter} cannot be started: {exc}"
            raise Trouble(NOT_LOADED, told) from exc

    async def _connect(self, process: EngineProcess, socket: Path) -> WorkerConnection:
        while not process.exited.done():
            try:
                return await WorkerConnection.open(socket, "supervisor", self._hear)
            except EngineDead:
                await asyncio.sleep(_CONNECT_INTERVAL)
        raise Trouble(NOT_LOADED)

    async def _loaded(self, connection: WorkerConnection) -> None:
        told: set[asyncio.Future[Any]] = {self._outcome, connection.lost}
        await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
        if not self._outcome.done():
            raise Trouble(NOT_LOADED)
        outcome = self._outcome.result()
        if isinstance(outcome, LoadFailed):
            reason = NO_MEMORY if outcome.kind == "OutOfMemory" else NOT_LOADED
            raise Trouble(reason, outcome.message)
        self.capabilities = outcome.capabilities

    async def _until_lost(self) -> None:
        assert self._connection is not None
        await asyncio.shield(self._connection.lost)
        raise Trouble(CRASHED)

    async def _drain(self, process: EngineProcess) -> None:
        """Let it finish what runs; it leaves by itself then."""
        told_last = False
        while self._connection is not None and not self._connection.closed and not told_last:
            told_last = self._stop_asked.done()
            self._connection.send(Drain(self.drain_patience))
            await self._exit_within(process)  # or until it is told to be quicker
            told_last = told_last or not self._stop_asked.done()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _end(self, process: EngineProcess, grace: float) -> None:
        await process.end(grace)
        self._socket.unlink(missing_ok=True)

    def _hear(self, frame: Any) -> None:
        """Take what the worker tells about itself."""
        if isinstance(frame, Progress):
            self._progressed(frame.stage, frame.done, frame.total)
        elif isinstance(frame, Ready | LoadFailed):
            if not self._outcome.done():
                self._outcome.set_result(frame)
        elif isinstance(frame, Heartbeat):
            self._heard(frame.health)
