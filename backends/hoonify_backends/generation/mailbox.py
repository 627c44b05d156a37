"""What the engine's thread has for one request, waiting for the coroutine that serves it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hoonify_router.errors import RouterError
from hoonify_router.types import Event, Text


class Mailbox:
    """Holds events until they are taken; texts of one answer that wait are joined. Used on the event loop only.

    Args:
        loop: The event loop.
    """

    __slots__ = ("_events", "_failure", "_last", "_loop", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: list[Event] = []
        self._last: dict[int, Text] = {}  # by answer, where its last event is a text
        self._failure: RouterError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, index: int, events: Sequence[Event]) -> None:
        """Add events of one answer."""
        for event in events:
            if type(event) is Text:
                last = self._last.get(index)
                if last is None:
                    self._last[index] = event
                    self._events.append(event)
                    continue
                last.text += event.text
                if event.logprobs:
                    last.logprobs = [*(last.logprobs or ()), *event.logprobs]
            else:
                self._last.pop(index, None)
                self._events.append(event)
        self._wake()

    def fail(self, failure: RouterError) -> None:
        """Let ``take`` raise, after the events that wait."""
        self._failure = failure
        self._wake()

    async def take(self) -> list[Event]:
        """Wait for news and return all there is.

        Raises:
            RouterError: The request has failed.
        """
        while True:
            if self._events:
                events, self._events = self._events, []
                self._last.clear()
                return events
            if self._failure is not None:
                raise self._failure
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
