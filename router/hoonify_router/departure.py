"""What is under way when a gateway leaves: waited for, for a while, and then ended."""

from __future__ import annotations

import asyncio

_LAST_WORDS = 2.0  # for what has to be settled before a client hears of its end


class Departure:
    """Knows what is under way in a gateway, and lets it end.

    Attributes:
        running: Tasks that answer requests.
        settling: Tasks that settle what was answered.
        begun: Whether the gateway takes nothing new.
        cut: Whether the time is over: a task that is cancelled now tells its client so.
    """

    def __init__(self) -> None:
        self.running: set[asyncio.Task[object] | None] = set()
        self.settling: set[asyncio.Task[None]] = set()
        self.begun = False
        self.cut = False
        self._idle: asyncio.Event | None = None
        self._patience: asyncio.Timeout | None = None
        self._hurried = False

    def settle(self, task: asyncio.Task[None]) -> None:
        """Wait for ``task``, too."""
        self.settling.add(task)
        task.add_done_callback(self.settling.discard)

    def ended(self, task: asyncio.Task[object] | None) -> None:
        """Note that a request is answered."""
        self.running.discard(task)
        if self._idle is not None and not self.running:
            self._idle.set()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 - a limit that may be shortened
        """Wait until everything under way has ended; tell whether it has by itself.

        Args:
            timeout: Seconds that it may take; what has not ended then is cancelled.
        """
        self.begun = True
        self._idle = self._idle or asyncio.Event()
        try:
            async with asyncio.timeout(0.0 if self._hurried else timeout) as self._patience:
                if self.running:
                    await self._idle.wait()
                while self.settling:
                    await asyncio.wait(self.settling)
        except TimeoutError:
            await self._cut_the_rest()
            return False
        finally:
            self._patience = None
        return True

    def hurry(self) -> None:
        """End a drain at once, or let one that begins later end so."""
        self._hurried = True
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time())

    async def _cut_the_rest(self) -> None:
        self.cut = True
        rest = [task for task in self.running if task is not None]
        for task in rest:
            task.cancel()
        if rest or self.settling:
            await asyncio.wait([*rest, *self.settling], timeout=_LAST_WORDS)
