"""Signs of life for streams that wait: an SSE comment now and then."""

from __future__ import annotations

import asyncio

from hoonify_router.reply import Reply

_LOOKS = 4  # how often in one interval it looks, so that a ping is late by a quarter at most


class Pulse:
    """Pings every stream that has been silent for ``interval`` seconds.

    One timer serves all streams, and a chunk costs no more than setting a flag.

    Args:
        interval: Seconds of silence before a ping; 0 turns pings off.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._replies: dict[Reply, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, reply: Reply) -> None:
        """Look after ``reply`` from now on."""
        if self._interval <= 0:
            return
        self._replies[reply] = None
        if self._timer is None:
            self._schedule()

    def discard(self, reply: Reply) -> None:
        """Let go of ``reply``."""
        self._replies.pop(reply, None)

    def close(self) -> None:
        """Ping nobody any more."""
        self._replies.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._interval / _LOOKS, self._look)

    def _look(self) -> None:
        self._timer = None
        for reply in self._replies:
            if reply.fresh:
                reply.fresh = False
                reply.quiet = 0
                continue
            reply.quiet += 1
            if reply.quiet >= _LOOKS:
                reply.quiet = 0
                reply.ping()
        if self._replies:
            self._schedule()
