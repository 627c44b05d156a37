"""The worker adapter: engines that are Python libraries, spoken to in frames over their unix sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from hoonify_router.adapters.base import Adapter, Call, Job
from hoonify_router.adapters.refusals import AWAY, NO_ROOM, SLOW, discreet
from hoonify_router.adapters.worker import GRANT_BATCH, EventSink, OnReleased, WorkerConnection
from hoonify_router.answer import Answer
from hoonify_router.errors import ConnectTimeout, EngineDead, RouterError, RouterFull
from hoonify_router.open_files import none_is_left
from hoonify_router.stream import EventStream
from hoonify_router.types import (
    Counted,
    Embedded,
    Event,
    Finish,
    Health,
    HomeView,
    InferenceRequest,
    Reasoning,
    Text,
    ToolCall,
)


class Connection(Protocol):
    """What the adapter needs of a ``WorkerConnection``."""

    health: Health | None

    @property
    def closed(self) -> bool:
        """Whether it takes no more requests."""

    def submit(self, request: InferenceRequest, sink: EventSink) -> int:
        """Send a request."""

    def cancel(self, rid: int, released: OnReleased | None = None) -> None:
        """Stop one; ``released`` is called when its slot is free."""

    def grant(self, rid: int, events: int) -> None:
        """Tell that events are consumed."""

    def close(self) -> None:
        """Close it."""


Opener = Callable[[str], Awaitable[Connection]]

_OPEN = partial(
    WorkerConnection.open, patience=60.0
)  # each request has its own, mostly shorter one


class EngineCall:
    """One request at a worker: its events go into the answer, grants go back as they are consumed.

    Events that arrive together, in one read, are written together.
    """

    __slots__ = (
        "_answer",
        "_connection",
        "_due",
        "_paused",
        "_released",
        "_stream",
        "rid",
    )

    def __init__(
        self,
        connection: Connection,
        answer: Answer,
        released: OnReleased | None = None,
    ) -> None:
        self._released = released
        self._connection = connection
        self._answer = answer
        self._stream = answer if isinstance(answer, EventStream) else None
        self._paused = False
        self._due = 0
        self.rid = 0

    # ------------------------------------------------------------ from the worker

    def on_events(self, events: Sequence[Event]) -> None:
        """Pour events into the answer."""
        stream = self._stream
        if stream is None:
            for event in events:
                self._tell(event)
        elif not stream.texts(events):
            stream.cork()
            for event in events:
                self._tell(event)
            stream.uncork()
        self._due += len(events)
        if self._due >= GRANT_BATCH and not self._paused:
            self._connection.grant(self.rid, self._due)
            self._due = 0

    def _tell(self, event: Event) -> None:
        kind = type(event)
        if kind is Text:
            self._answer.text(event.text, event.index, event.logprobs)  # type: ignore[union-attr]
        elif kind is Reasoning:
            self._answer.reasoning(event.text, event.index)  # type: ignore[union-attr]
        elif kind is ToolCall:
            self._answer.tool_call(event)  # type: ignore[arg-type]
        elif kind is Embedded:
            self._answer.embedding(event.vector, event.index)  # type: ignore[union-attr]
        elif kind is Finish:
            self._answer.finish(event.reason, event.index)  # type: ignore[union-attr]
        elif kind is Counted:
            self._answer.count(event.usage)  # type: ignore[union-attr]
            self._answer.complete()

    def on_failure(self, error: RouterError) -> None:
        """Hear that nothing more comes."""
        self._answer.fail(discreet(error))

    # ------------------------------------------------------------ from the client

    def cancel(self) -> None:
        """Give the engine's slot back."""
        self._connection.cancel(self.rid, self._released)

    def pause(self) -> None:
        """Keep the grants: the worker joins texts and then waits."""
        self._paused = True

    def resume(self) -> None:
        """Grant what was kept."""
        self._paused = False
        if self._due:
            self._connection.grant(self.rid, self._due)
            self._due = 0


class WorkerAdapter(Adapter):
    """Holds one connection per worker.

    Args:
        open_connection: Connects to the socket at a path.
    """

    kind = "worker"

    def __init__(self, open_connection: Opener = _OPEN) -> None:
        self._open_connection = open_connection
        self._connections: dict[str, Connection] = {}
        self._opening: dict[str, asyncio.Future[Connection]] = {}

    async def start(self, job: Job, answer: Answer) -> Call:
        """Send the job to its worker, over the connection that is open if there is one."""
        address = job.home.address
        connection = self._connections.get(address)
        if connection is None or connection.closed:
            connection = await self._connect(address, job.connect)
        call = EngineCall(connection, answer, job.released)
        call.rid = connection.submit(job.request, call)
        return call

    def update(self, homes: Iterable[HomeView]) -> None:
        """Forget the connections to workers that have gone."""
        addresses = {home.address for home in homes if home.kind == self.kind}
        for address in [a for a in self._connections if a not in addresses]:
            if self._connections[address].closed:
                del self._connections[address]

    def load(self, home: HomeView) -> Health | None:
        """Return what the home's last heartbeat said."""
        connection = self._connections.get(home.address)
        return None if connection is None or connection.closed else connection.health

    async def close(self) -> None:
        """Close all connections."""
        for opening in self._opening.values():
            opening.cancel()
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    async def _connect(self, address: str, patience: float) -> Connection:
        """Open the connection once, however many requests wait for it, each as long as it may."""
        opening = self._opening.get(address)
        if opening is None:
            opening = asyncio.ensure_future(self._open_connection(address))
            self._opening[address] = opening
            opening.add_done_callback(lambda done: self._connected(address, done))
        try:
            async with asyncio.timeout(patience or None):
                return await asyncio.shield(opening)
        except TimeoutError as error:
            raise ConnectTimeout(SLOW, retry_after=1) from error
        except OSError as error:
            if none_is_left(error):
                raise RouterFull(NO_ROOM, retry_after=1) from error
            raise EngineDead(AWAY, retry_after=1) from error

    def _connected(self, address: str, done: asyncio.Future[Connection]) -> None:
        del self._opening[address]
        if not done.cancelled() and done.exception() is None:
            self._connections[address] = done.result()
