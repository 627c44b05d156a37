"""What an engine says to one request, as its worker passes it on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.errors import RouterError
from hoonify_router.types import (
    Counted,
    Embedded,
    Event,
    Finish,
    InferenceRequest,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)


class Sink:
    """Keeps the events of one request; send it with ``ask``.

    Args:
        connection: Where the worker is.
        slow: Whether nothing is granted, as by a client that does not read.
    """

    def __init__(self, connection: WorkerConnection, *, slow: bool = False) -> None:
        self.connection = connection
        self.slow = slow
        self.rid = 0
        self.events: list[Event] = []
        self.error: RouterError | None = None
        self.usage: Usage | None = None
        self.spent: Usage | None = None
        self.after_end = 0
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.released = asyncio.Event()

    @classmethod
    def ask(
        cls, connection: WorkerConnection, request: InferenceRequest, *, slow: bool = False
    ) -> Sink:
        """Send ``request`` and return what collects its events."""
        sink = cls(connection, slow=slow)
        sink.rid = connection.submit(request, sink)
        return sink

    def text(self, index: int = 0) -> str:
        """Return the text of one answer."""
        return "".join(e.text for e in self.events if isinstance(e, Text) and e.index == index)

    @property
    def finishes(self) -> list[Finish]:
        """Return all that were said to be complete."""
        return [event for event in self.events if isinstance(event, Finish)]

    @property
    def said(self) -> bool:
        """Return whether it has said a piece of an answer."""
        kinds = (Text, Reasoning, ToolCall, Embedded)
        return any(isinstance(event, kinds) for event in self.events)

    async def end(self) -> Sink:
        """Wait for the end, good or bad."""
        await self.ended.wait()
        return self

    def cancel(self) -> None:
        """Stop the request; ``released`` is set when its slot is free."""
        self.connection.cancel(self.rid, self._on_released)

    # ------------------------------------------------------------ from the connection

    def on_events(self, events: Sequence[Event]) -> None:
        """Take the next events."""
        self.after_end += self.ended.is_set()
        self.events += events
        if not self.slow:
            self.connection.grant(self.rid, len(events))
        if isinstance(last := events[-1], Counted):
            self.usage = last.usage
            self.ended.set()
        self.begun.set()

    def on_failure(self, error: RouterError) -> None:
        """Take the end of a request that has failed."""
        self.after_end += self.ended.is_set()
        self.error = error
        self.begun.set()
        self.ended.set()

    def _on_released(self, usage: Usage | None) -> None:
        self.spent = usage
        self.released.set()
