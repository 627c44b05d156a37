"""Signs of life for streams that wait: an SSE comment now and then."""

from __future__ import annotations

import asyncio
import time

from hoonify_router.reply import Reply

_LOOKS = 4  # how often in one interval it looks, so that a ping is late by a quarter at most
_LOOK_WITHOUT_PINGS = 5.0

STALL = 300.0
"""Seconds after which a client that does not read its stream is given up: it holds an engine's slot."""


class Pulse:
    """Pings every stream that has been silent for ``interval`` seconds, and gives up dead clients.

    One timer serves all streams, and a chunk costs no more than setting a flag.

    Args:
        interval: Seconds of silence before a ping; 0 turns pings off.
        stall: Seconds that a client may take nothing of what waits for it.
    """

    def __init__(self, interval: float, stall: float = STALL) -> None:
        self._stall = stall
        self.interval = interval
        self._replies: dict[Reply, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def interval(self) -> float:
        """Return the seconds of silence before a ping."""
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._interval = seconds
        self._pings = seconds > 0
        self._every = seconds / _LOOKS if self._pings else min(_LOOK_WITHOUT_PINGS, self._stall)

    def add(self, reply: Reply) -> None:
        """Look after ``reply`` from now on."""
        self._replies[reply] = None
        if self._timer is None:
            self._schedule()

    def discard(self, reply: Reply) -> None:
        """Let go of ``reply``."""
        self._replies.pop(reply, None)

    def close(self) -> None:
        """Look after nobody any more."""
        self._replies.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._look)

    def _look(self) -> None:
        self._timer = None
        too_long = time.monotonic() - self._stall
        for reply in list(self._replies):
            if reply.lagging_since is not None:
                if reply.lagging_since < too_long:
                    reply.give_up()
            elif self._pings:
                self._look_at(reply)
        if self._replies:
            self._schedule()

    def _look_at(self, reply: Reply) -> None:
        if reply.fresh:
            reply.fresh = False
            reply.quiet = 0
            return
        reply.quiet += 1
        if reply.quiet >= _LOOKS:
            reply.quiet = 0
            reply.ping()
