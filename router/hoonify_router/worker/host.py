"""The worker itself: one engine from load to close, and everyone who is connected to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from hoonify_router.api import Engine
from hoonify_router.errors import EngineDead, HomeStopping, ModelUnavailable, RouterError
from hoonify_router.protocol import (
    Bye,
    Complete,
    Embed,
    Generate,
    Heartbeat,
    LoadFailed,
    Progress,
    Ready,
    Released,
)
from hoonify_router.types import Event, Health
from hoonify_router.worker.client import Asking, Client
from hoonify_router.worker.loading import ProgressReporter, load_engine, printable
from hoonify_router.worker.serving import Serving, failure_of

log = logging.getLogger(__name__)

_METHODS: dict[type, str] = {Generate: "generate", Complete: "complete", Embed: "embed"}
_CANCEL_TIMEOUT = 1.0
_CLOSE_TIMEOUT = 5.0
_FAREWELL = 2.0  # for clients to read to the end


class Host:
    """Serves one engine to any number of clients.

    Args:
        find: Returns the engine's class; called when the supervisor asks to load.
        home: The home's id, for messages.
        heartbeat: Seconds between two heartbeats.
    """

    def __init__(
        self, find: Callable[[], type[Engine[Any]]], home: str, *, heartbeat: float = 1.0
    ) -> None:
        self._find = find
        self._home = home
        self._interval = heartbeat
        self._loop = asyncio.get_running_loop()
        self._clients: set[Client] = set()
        self._servings: set[Serving] = set()
        self._engine: Engine[Any] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._progress: Progress | None = None
        self._outcome: Ready | LoadFailed | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._leave_at = 0.0
        self._patience: asyncio.Timeout | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._alone = asyncio.Event()
        self._alone.set()
        self._exit: asyncio.Future[int] = self._loop.create_future()
        self._beating = self._loop.call_later(heartbeat, self._beat)

    @property
    def loaded(self) -> bool:
        """Return whether there is an engine to take leave of."""
        return self._engine is not None

    async def wait(self) -> int:
        """Return the exit status once the worker has nothing more to do."""
        status = await self._exit
        self._beating.cancel()
        return status

    async def part_from_all(self, patience: float) -> None:
        """Close all connections and wait a moment for what is still on its way to them."""
        for client in tuple(self._clients):
            client.close()
        try:
            async with asyncio.timeout(patience):
                await self._alone.wait()
        except TimeoutError:
            log.warning("%s: %d clients did not read to the end", self._home, len(self._clients))

    # ------------------------------------------------------------ asked for by connections

    def connect(self) -> Client:
        """Return the protocol of a new connection."""
        client = Client(self)
        self._clients.add(client)
        self._alone.clear()
        return client

    def greet(self, client: Client) -> None:
        """Tell a client that has just said hello how things stand."""
        if self._leaving is not None:
            client.send(Bye("the worker is leaving"))
        elif self._outcome is not None:
            client.send(self._outcome)
        elif self._progress is not None:
            client.send(self._progress)

    def part(self, client: Client) -> None:
        """Forget a client that is gone."""
        self._clients.discard(client)
        if not self._clients:
            self._alone.set()

    def load(self, options: dict[str, Any]) -> None:
        """Start loading the engine."""
        if self._loading is not None:
            raise ValueError("Load twice")
        self._loading = asyncio.create_task(self._load(options))

    def serve(self, client: Client, frame: Asking) -> Serving:
        """Start a request."""
        engine = self._engine
        if engine is None or not isinstance(self._outcome, Ready):
            raise ModelUnavailable("The model is not loaded yet.", retry_after=1)
        if self._leaving is not None:
            raise HomeStopping("The model's home is being stopped.", retry_after=1)
        rid = frame.rid

        def emit(event: Event) -> None:
            client.emit(rid, event)

        def ended(serving: Serving) -> None:
            if client.servings.get(rid) is serving:
                del client.servings[rid]
            else:  # its client has cancelled it
                client.send(Released(rid, serving.spent))
            self._servings.discard(serving)
            if not self._servings:
                self._idle.set()

        serving = Serving(frame.request, getattr(engine, _METHODS[type(frame)]), emit, ended)
        self._servings.add(serving)
        self._idle.clear()
        return serving

    def drain(self, deadline: float) -> None:
        """Finish what runs within ``deadline`` seconds and leave; a later call sets a new deadline."""
        self._leave_at = self._loop.time() + max(deadline, 0)
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())
        elif self._patience is not None and not self._patience.expired():
            self._patience.reschedule(self._leave_at)

    # ------------------------------------------------------------ life

    async def _load(self, options: dict[str, Any]) -> None:
        reporter = ProgressReporter(self._report)
        try:
            engine = self._find()()
            await load_engine(engine, options, reporter)
            ready = msgspec.convert(msgspec.to_builtins(Ready(engine.capabilities)), Ready)
            self._outcome = ready  # converted: what an engine says of itself must survive the wire
            self._engine = engine
        except RouterError as error:
            self._outcome = LoadFailed(failure_of(error).kind, printable(error.message))
        except MemoryError as error:
            log.exception("%s: out of memory while loading", self._home)
            self._outcome = LoadFailed("OutOfMemory", printable(f"out of memory: {error}"))
        except Exception as error:
            log.exception("%s: loading failed", self._home)
            self._outcome = LoadFailed("RouterError", printable(f"{type(error).__name__}: {error}"))
        for client in tuple(self._clients):
            if client.role:
                client.send(self._outcome)
        if isinstance(self._outcome, LoadFailed):
            self._end(1)

    def _report(self, progress: Progress) -> None:
        if self._outcome is None:
            self._progress = progress
            for client in tuple(self._clients):
                client.notify(progress)

    def _beat(self) -> None:
        self._beating = self._loop.call_later(self._interval, self._beat)
        heartbeat = Heartbeat(self._health())
        for client in tuple(self._clients):
            client.notify(heartbeat)

    def _health(self) -> Health:
        engine = self._engine
        if engine is None:
            return Health()
        if type(engine).health is not Engine.health:
            try:
                return engine.health()
            except Exception:
                log.exception("%s: the engine's health() failed", self._home)
        # the engine tells nothing: count what it was given, and when it last gave something back
        now = self._loop.time()
        working = [serving for serving in self._servings if serving.running]
        moved_at = max((one.moved_at for one in working if not one.held_back), default=now)
        return Health(running=len(working), step_age=now - moved_at)

    async def _leave(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
        try:
            async with asyncio.timeout_at(self._leave_at) as self._patience:
                await self._idle.wait()
            self._patience = None
        except TimeoutError:
            self._patience = None
            for serving in tuple(self._servings):
                serving.fail(
                    EngineDead("The model's home was stopped before the answer was complete.")
                )
            with contextlib.suppress(TimeoutError):  # the engine is closed after its requests
                async with asyncio.timeout(_CANCEL_TIMEOUT):
                    await self._idle.wait()
        for client in tuple(self._clients):
            if client.role:
                client.send(Bye("the worker is leaving"))
        # Each of them leaves when it has read to the end. Whoever is closed on may miss what is on its way to it,
        # if it happens to write just then.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await self._alone.wait()
        if self._engine is not None:
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await self._engine.close()
            except Exception:
                log.exception("%s: the engine did not close", self._home)
        self._end(0)

    def _end(self, status: int) -> None:
        if not self._exit.done():
            self._exit.set_result(status)
