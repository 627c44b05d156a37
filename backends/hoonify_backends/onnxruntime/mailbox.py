"""What the engine's thread has for one request, waiting for the coroutine that serves it."""

from __future__ import annotations

import asyncio

from hoonify_router.errors import RouterError
from hoonify_router.types import FinishReason


class Mailbox:
    """Holds text until it is taken; texts that wait are joined. Used on the event loop only.

    Args:
        loop: The event loop.
    """

    __slots__ = ("_failure", "_finish", "_loop", "_text", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._text = ""
        self._finish: FinishReason | None = None
        self._failure: RouterError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, text: str, finish: FinishReason | None) -> None:
        """Add text, and why the answer has ended if it has."""
        self._text += text
        self._finish = finish
        self._wake()

    def fail(self, failure: RouterError) -> None:
        """Let ``take`` raise, after the text that waits."""
        self._failure = failure
        self._wake()

    async def take(self) -> tuple[str, FinishReason | None]:
        """Wait for news and return all there is.

        Raises:
            RouterError: The request has failed.
        """
        while True:
            if self._text or self._finish is not None:
                text, self._text = self._text, ""
                return text, self._finish
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
