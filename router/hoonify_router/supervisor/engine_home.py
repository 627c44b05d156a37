"""A home whose engine runs in a process of ours: how it lives, whatever the engine is spoken to in."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import signal
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hoonify_router.supervisor import lifecycle
from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.lifecycle import Limits, Trouble
from hoonify_router.supervisor.plan import HomePlan
from hoonify_router.supervisor.process import EngineProcess
from hoonify_router.supervisor.room import Room
from hoonify_router.types import Health

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_AFTERMATH = 0.5  # what a process has sent before its end arrives within this time

CRASHED = "Its engine ended unexpectedly."
NOT_LOADED = "Its engine could not be loaded."
NO_MEMORY = "Its engine ran out of memory while loading."


class Stopped(Exception):
    """The home is to stop."""


class EngineHome(Home):
    """Starts an engine's process, watches it, restarts it and stops it.

    What kind of process that is, and how it is loaded, warmed up, watched and drained, its subclasses know.

    Args:
        plan: What it should be.
        on_change: Called when what is published of it has changed.

    Attributes:
        room: Where it has to find its place before it starts.
    """

    grace = 2.0
    """Seconds between SIGTERM and SIGKILL."""

    def __init__(self, plan: HomePlan, on_change: Callable[[Home], None]) -> None:
        super().__init__(plan, on_change)
        self._process: EngineProcess | None = None
        self._fatal: asyncio.Future[Trouble] = self._loop.create_future()
        self.room: Room | None = None
        self._alone = False

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
                self._leave_room()
                self._come_to_rest()
            elif not lifecycle.may_start(self.life, self._loop.time()):
                await self._cool_down()
            elif self._wanted.is_set():
                if await self._enter_room():
                    if self.held_by:
                        self._leave_room()
                    else:
                        self._set(lifecycle.start(self.life, self._loop.time()))
            else:
                await self._first(self._wanted.wait())
        self._leave_room()
        self._set(lifecycle.stopped(self.life, self._loop.time()))

    async def _enter_room(self) -> bool:
        """Wait until there is room for it on its GPUs; tell whether it may start now."""
        if self.room is None or not self.plan.claim:
            return True
        if self.life.state == "failed":
            self._set(lifecycle.stopped(self.life, self._loop.time()))
        entering = asyncio.create_task(self.room.enter(self, alone=self._alone))
        await asyncio.wait({entering, self._stop_asked}, return_when=asyncio.FIRST_COMPLETED)
        entering.cancel()
        try:
            await entering
        except Trouble as trouble:
            self._fail(trouble)
            return False
        except asyncio.CancelledError:
            return False
        return True

    def _leave_room(self) -> None:
        """Give its room back, unless it is started again at once."""
        if self.room is not None and (self.life.state != "starting" or self.rests):
            self.room.leave(self)

    def _come_to_rest(self) -> None:
        """Note that a home which was to stop for now has stopped."""
        if self._rest_asked.done():
            self._rest_asked = self._loop.create_future()
            if self.life.state != "failed":
                self._set(lifecycle.stopped(self.life, self._loop.time()))

    async def _cool_down(self) -> None:
        now = self._loop.time()
        began = self.life
        await self._pause(max((began.retry_at or 0.0) - now, 0.0))
        if self.life.state == "failed" and not lifecycle.may_start(self.life, self._loop.time()):
            self._set(dataclasses.replace(self.life, retry_at=now, strikes=0))
        if not self.plan.always:  # it sleeps until the next request wants it
            self._wanted.clear()
            self._set(lifecycle.stopped(self.life, self._loop.time()))

    async def _first(self, waiting: Coroutine[Any, Any, Any]) -> None:
        """Wait for something or for the stop, whatever comes first."""
        task = asyncio.create_task(waiting)
        await asyncio.wait({task, self._stop_asked}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()

    # ------------------------------------------------------------ what subclasses know

    @abstractmethod
    async def _bring_up(self) -> None:
        """Start the process, load and warm up; ``address`` and ``capabilities`` are set in the end.

        Raises:
            Trouble: It does not come up.
            Stopped: The home is to stop.
        """

    @abstractmethod
    async def _until_lost(self) -> None:
        """Watch a ready engine for as long as all is well.

        Raises:
            Trouble: It is not well any more.
        """

    @abstractmethod
    async def _drain(self, process: EngineProcess) -> None:
        """Let a ready engine finish what runs; return when it has ended or its time is over."""

    async def _exit_within(self, process: EngineProcess) -> None:
        """Wait for the end of a process that drains, and a little; no longer when the router stops meanwhile."""
        watched: set[asyncio.Future[None]] = {process.exited}
        if not self._stop_asked.done():
            watched.add(self._stop_asked)
        patience = self.drain_patience + self.grace
        await asyncio.wait(watched, timeout=patience, return_when=asyncio.FIRST_COMPLETED)

    def _let_go(self) -> None:
        """Close what belongs to this run of the engine; the process ends next, if it has not."""

    async def _end(self, process: EngineProcess, grace: float) -> None:
        """End the process and all that it has started."""
        await process.end(grace)

    def _why(self, tail: str) -> str:
        """Return what the engine's last words mean, if that is known."""
        return ""

    # ------------------------------------------------------------ one process, from start to end

    async def _live(self) -> None:
        """Run one process of the engine; return when it is gone."""
        self._fatal = self._loop.create_future()
        self._process = None
        grace = self.grace
        try:
            await self._bring_up()
            log.info("%s: ready on %s", self.plan.id, self._device())
            self._became_ready()
            await self._guarded(self._until_lost())
        except Stopped:
            if self.life.state == "ready" and self._process is not None:
                self._set(lifecycle.draining(self.life, self._loop.time()))
                if self.rests and not self._stop_asked.done():
                    await self.on_rest()
                await self._drain(self._process)
            else:
                grace = 0.0  # it has nothing to save
        except Trouble as trouble:
            await self._bury(trouble)
        except Exception as exc:  # a bug of ours must not leave the home without a controller
            log.exception("%s: its controller failed", self.plan.id)
            await self._bury(Trouble(CRASHED, f"{type(exc).__name__}: {exc}"))
        finally:
            self._let_go()
            if self._process is not None:
                await self._end(self._process, grace)
                self._process = None
            self.health = Health()

    def _became_ready(self) -> None:
        self._alone = False
        self._set(lifecycle.became_ready(self.life, self._loop.time()))
        if self.life.load_seconds is not None:
            self.on_loaded(self, self.life.load_seconds)

    # ------------------------------------------------------------ watching

    @property
    def _limits(self) -> Limits:
        """Return how long things may take with this kind of engine."""
        return self.plan.limits

    async def _guarded(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do ``work`` as long as the process lives, nothing is overdue and nobody says stop.

        Raises:
            Trouble: Something is wrong.
            Stopped: The home is to stop.
        """
        assert self._process is not None
        exited = self._process.exited
        task = asyncio.create_task(work)
        task.add_done_callback(_retrieve)
        stops = (self._stop_asked, self._rest_asked)
        watched: set[asyncio.Future[Any]] = {task, exited, self._fatal, *stops}
        try:
            while True:
                until = lifecycle.deadline(self.life, self._limits)
                await asyncio.wait(
                    watched,
                    timeout=None if until is None else max(until - self._loop.time(), 0.0),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if any(stop.done() for stop in stops):
                    raise Stopped
                if exited.done() and not task.done():  # its last frames may still be on their way
                    await asyncio.wait({task}, timeout=_AFTERMATH)
                if task.done():
                    return task.result()
                if exited.done():
                    raise Trouble(CRASHED if self.life.state == "ready" else NOT_LOADED)
                if self._fatal.done():
                    raise self._fatal.result()
                if trouble := lifecycle.overdue(self.life, self._loop.time(), self._limits):
                    raise trouble
        finally:
            task.cancel()

    def _progressed(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Note how far the load has come."""
        self._set(lifecycle.progressed(self.life, self._loop.time(), stage, done, total))

    def _heard(self, health: Health) -> None:
        """Note how a ready engine says that it does."""
        now = self._loop.time()
        self.health = health
        self._set(lifecycle.heartbeat(self.life, now, health.step_age))
        trouble = lifecycle.overdue(self.life, now, self._limits)
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
            if lifecycle.may_start(self.life, self._loop.time()) and not self.held_by:
                self._set(lifecycle.start(self.life, self._loop.time()))
        detail, tail = trouble.detail, ""
        if self._process is not None:
            if not detail:
                await asyncio.wait({self._process.exited}, timeout=_AFTERMATH)
                detail = self._process.ending or "its worker closed the connection"
            await self._end(self._process, 0.0)
            tail, self._process = self._process.tail, None
        detail = self._why(tail) or detail
        if was_ready:
            log.error("%s: %s", self.plan.id, detail)
        whole = f"{detail}\nlast lines of its output:\n{tail}" if tail else detail
        if was_ready:
            self._set(dataclasses.replace(self.life, detail=whole))
        elif self._may_be_alone(trouble):
            self._alone = True
            log.warning("%s: %s; others make room, and it is tried once more", self.plan.id, detail)
            self._set(lifecycle.stopped(self.life, self._loop.time()))
        else:
            self._alone = False
            self._fail(Trouble(trouble.reason, whole))

    def _may_be_alone(self, trouble: Trouble) -> bool:
        """Tell whether a load that ran out of memory may do better once others have left."""
        if trouble.reason != NO_MEMORY or self._alone or self.room is None:
            return False
        return self.room.has_company(self)

    def _device(self) -> str:
        return self.capabilities.device if self.capabilities else "unknown"


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at the outcome of a task that nobody may be waiting for any more."""
    if not task.cancelled():
        task.exception()
