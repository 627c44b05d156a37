"""The controller of a home whose engine runs in a worker process: every effect, no policy."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import re
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.api import WorkerBackend
from hoonify_router.errors import EngineDead
from hoonify_router.protocol import Drain, Heartbeat, Load, LoadFailed, Progress, Ready
from hoonify_router.supervisor import lifecycle
from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.lifecycle import Trouble
from hoonify_router.supervisor.plan import HomePlan
from hoonify_router.supervisor.process import EngineProcess
from hoonify_router.supervisor.warm_up import warm_up
from hoonify_router.types import Health

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_CONNECT_INTERVAL = 0.02
_AFTERMATH = 0.5  # what a process has sent before its end arrives within this time
_GRACE = 2.0  # between SIGTERM and SIGKILL

_CRASHED = "Its engine ended unexpectedly."
_NOT_LOADED = "Its engine could not be loaded."
_NO_MEMORY = "Its engine ran out of memory while loading."
_NO_ROUTER = re.compile(r"No module named '?hoonify_router\b")


class _Stopped(Exception):
    """The home is to stop."""


class WorkerHome(Home):
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
        self._process: EngineProcess | None = None
        self._outcome: asyncio.Future[Ready | LoadFailed] = self._loop.create_future()
        self._fatal: asyncio.Future[Trouble] = self._loop.create_future()

    @property
    def pid(self) -> int:
        """Return the process of its engine."""
        return 0 if self._process is None else self._process.pid

    def kill(self) -> None:
        """Kill the engine's process group."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)

    async def run(self) -> None:
        """Start the engine whenever it is wanted and may start; stop it in the end."""
        while not self._stop_asked.done():
            if self.life.state == "starting":
                await self._live()
            elif not lifecycle.may_start(self.life, self._loop.time()):
                await self._cool_down()
            elif self._wanted.is_set():
                self._set(lifecycle.start(self.life, self._loop.time()))
            else:
                await self._first(self._wanted.wait())
        self._set(lifecycle.stopped(self.life, self._loop.time()))

    async def _cool_down(self) -> None:
        pause = (self.life.retry_at or 0.0) - self._loop.time()
        await asyncio.wait({self._stop_asked}, timeout=max(pause, 0.0))
        if not self.plan.always:  # it sleeps until the next request wants it
            self._wanted.clear()
            self._set(lifecycle.stopped(self.life, self._loop.time()))

    async def _first(self, waiting: Coroutine[Any, Any, Any]) -> None:
        """Wait for something or for the stop, whatever comes first."""
        task = asyncio.create_task(waiting)
        await asyncio.wait({task, self._stop_asked}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()

    # ------------------------------------------------------------ one process, from start to end

    async def _live(self) -> None:
        """Run one process of the engine; return when it is gone."""
        self._outcome = self._loop.create_future()
        self._fatal = self._loop.create_future()
        self._process = None
        connection: WorkerConnection | None = None
        socket = self._sockets / f"{os.getpid()}-{self._number}-{self.life.starts}.sock"
        grace = _GRACE
        try:
            process = self._process = await self._spawn(socket)
            connection = await self._guarded(self._connect(process, socket))
            self._set(lifecycle.connected(self.life, self._loop.time()))
            connection.send(Load(self.plan.options))
            await self._guarded(self._loaded(connection))
            self._hear(Progress("warming up"))
            await self._guarded(warm_up(connection, self.plan.model, self.capabilities))
            self.address = str(socket)
            log.info("%s: ready on %s", self.plan.id, self._device())
            self._set(lifecycle.became_ready(self.life, self._loop.time()))
            await self._guarded(self._lost(connection))
        except _Stopped:
            if self.life.state == "ready" and connection is not None:
                await self._drain(connection, process)
            else:
                grace = 0.0  # it has nothing to save
        except Trouble as trouble:
            await self._bury(trouble)
        except Exception as exc:  # a bug of ours must not leave the home without a controller
            log.exception("%s: its controller failed", self.plan.id)
            await self._bury(Trouble(_CRASHED, f"{type(exc).__name__}: {exc}"))
        finally:
            if connection is not None:
                connection.close()
            if self._process is not None:
                await self._process.end(grace)
                self._process = None
            socket.unlink(missing_ok=True)
            self.health = Health()

    async def _spawn(self, socket: Path) -> EngineProcess:
        backend = self.plan.backend
        assert isinstance(backend, WorkerBackend)
        command = [self.plan.interpreter, "-m", "hoonify_router.worker"]
        command += ["--socket", str(socket), "--engine", backend.engine, "--home", self.plan.id]
        try:
            return await EngineProcess.start(command, self.plan.id, self.plan.base_dir)
        except OSError as exc:
            raise Trouble(_NOT_LOADED, f"{command[0]} cannot be started: {exc}") from exc

    async def _connect(self, process: EngineProcess, socket: Path) -> WorkerConnection:
        while not process.exited.done():
            try:
                return await WorkerConnection.open(socket, "supervisor", self._hear)
            except EngineDead:
                await asyncio.sleep(_CONNECT_INTERVAL)
        raise Trouble(_NOT_LOADED)

    async def _loaded(self, connection: WorkerConnection) -> None:
        told: set[asyncio.Future[Any]] = {self._outcome, connection.lost}
        await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
        if not self._outcome.done():
            raise Trouble(_NOT_LOADED)
        outcome = self._outcome.result()
        if isinstance(outcome, LoadFailed):
            reason = _NO_MEMORY if outcome.kind == "OutOfMemory" else _NOT_LOADED
            raise Trouble(reason, outcome.message)
        self.capabilities = outcome.capabilities

    async def _lost(self, connection: WorkerConnection) -> None:
        await asyncio.shield(connection.lost)
        raise Trouble(_CRASHED)

    async def _drain(self, connection: WorkerConnection, process: EngineProcess) -> None:
        """Let it finish what runs; it leaves by itself then."""
        self._set(lifecycle.draining(self.life, self._loop.time()))
        patience = self.plan.limits.drain_timeout
        if not connection.closed:
            connection.send(Drain(patience))
            await asyncio.wait({process.exited}, timeout=patience + _GRACE)

    # ------------------------------------------------------------ watching

    async def _guarded(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do ``work`` as long as the process lives, nothing is overdue and nobody says stop.

        Raises:
            Trouble: Something is wrong.
            _Stopped: The home is to stop.
        """
        assert self._process is not None
        exited = self._process.exited
        task = asyncio.create_task(work)
        task.add_done_callback(_retrieve)
        watched: set[asyncio.Future[Any]] = {task, exited, self._fatal, self._stop_asked}
        try:
            while True:
                until = lifecycle.deadline(self.life, self.plan.limits)
                await asyncio.wait(
                    watched,
                    timeout=None if until is None else max(until - self._loop.time(), 0.0),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if self._stop_asked.done():
                    raise _Stopped
                if exited.done() and not task.done():  # its last frames may still be on their way
                    await asyncio.wait({task}, timeout=_AFTERMATH)
                if task.done():
                    return task.result()
                if exited.done():
                    raise Trouble(_CRASHED if self.life.state == "ready" else _NOT_LOADED)
                if self._fatal.done():
                    raise self._fatal.result()
                if trouble := lifecycle.overdue(self.life, self._loop.time(), self.plan.limits):
                    raise trouble
        finally:
            task.cancel()

    def _hear(self, frame: Any) -> None:
        """Take what the worker tells about itself."""
        now = self._loop.time()
        if isinstance(frame, Progress):
            self._set(lifecycle.progressed(self.life, now, frame.stage, frame.done, frame.total))
        elif isinstance(frame, Ready | LoadFailed):
            if not self._outcome.done():
                self._outcome.set_result(frame)
        elif isinstance(frame, Heartbeat):
            self.health = frame.health
            self._set(lifecycle.heartbeat(self.life, now, frame.health.step_age))
            trouble = lifecycle.overdue(self.life, now, self.plan.limits)
            if trouble is not None and not self._fatal.done():
                self._fatal.set_result(trouble)

    async def _bury(self, trouble: Trouble) -> None:
        """End what is left of the process, and note why, with its last words.

        A home that was ready is not published as ready a moment longer, and as starting again when it
        is; for any other there is time to listen first.
        """
        was_ready = self.life.state == "ready"
        if was_ready:
            self._fail(trouble)
            if lifecycle.may_start(self.life, self._loop.time()):
                self._set(lifecycle.start(self.life, self._loop.time()))
        detail, tail = trouble.detail, ""
        if self._process is not None:
            if not detail:
                await asyncio.wait({self._process.exited}, timeout=_AFTERMATH)
                detail = self._process.ending or "its worker closed the connection"
            await self._process.end(0.0)
            tail, self._process = self._process.tail, None
        if _NO_ROUTER.search(tail):
            detail = f"hoonify-router must be installed for {self.plan.interpreter} too"
        if was_ready:
            log.error("%s: %s", self.plan.id, detail)
        whole = f"{detail}\nlast lines of its output:\n{tail}" if tail else detail
        if was_ready:
            self._set(dataclasses.replace(self.life, detail=whole))
        else:
            self._fail(Trouble(trouble.reason, whole))

    def _device(self) -> str:
        return self.capabilities.device if self.capabilities else "unknown"


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at the outcome of a task that nobody may be waiting for any more."""
    if not task.cancelled():
        task.exception()
