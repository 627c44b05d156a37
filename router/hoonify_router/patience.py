"""How long a request may take: the clocks of its model's ``timeouts:``, for every kind of home.

The limit for connections is not among them: only an adapter knows when a connection stands (``Job.connect``).
"""

from __future__ import annotations

import asyncio
import math
import time

from hoonify_router.answer import Answer
from hoonify_router.config.model import Timeouts
from hoonify_router.errors import FirstTokenTimeout, IdleTimeout, RouterError, TotalTimeout
from hoonify_router.reply import Reply

_LOOKS = 4  # how often in one idle time it looks, so that silence ends late by a quarter at most
_TICK = 0.001


class Patience:
    """Fails a request's answer when it takes too long.

    A request that ends before the first look, as nearly all do, costs one timer that never fires; an event
    costs no more than the answer's own ``heard`` flag.

    Args:
        total: Seconds for the whole request; 0 is no limit.
        reply: Tells whether the client reads: one that does not is no fault of the home.
        started: ``time.perf_counter()`` when the request arrived.
    """

    __slots__ = (
        "_answer",
        "_begin_by",
        "_end_by",
        "_first_token",
        "_idle",
        "_quiet",
        "_reply",
        "_timer",
        "_total",
    )

    def __init__(self, total: float, reply: Reply, started: float) -> None:
        self._reply = reply
        self._total = total
        self._end_by = started + total if total else math.inf
        self._first_token = self._idle = 0.0
        self._begin_by = math.inf
        self._answer: Answer | None = None
        self._quiet = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def left(self) -> float | None:
        """Return the seconds that the request has left, ``None`` for ever."""
        return None if self._end_by == math.inf else max(0.0, self._end_by - time.perf_counter())

    def watch(self, answer: Answer, timeouts: Timeouts, shows_begin: bool) -> None:
        """Look after the answer of a home that is asked now, until ``relax``.

        Args:
            answer: It.
            timeouts: Of the model that the home serves; its total is of no meaning here.
            shows_begin: Whether it can be seen beginning. An answer in one piece from a server cannot: all
                that is known of it is whether it has come, so only its total counts.
        """
        now = time.perf_counter()
        self._first_token, self._idle = timeouts.first_token, timeouts.idle
        waits = shows_begin and self._first_token > 0
        self._begin_by = now + self._first_token if waits else math.inf
        self._answer = answer
        self._quiet = 0
        self._arm(now)

    def relax(self) -> None:
        """Look after nothing any more."""
        self._answer = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def out_of_time(self) -> RouterError:
        """Return the error of a request whose whole time is up."""
        return TotalTimeout(
            f"The answer was not complete within {self._total:g} s, this model's limit."
        )

    def _arm(self, now: float) -> None:
        look = self._idle / _LOOKS or math.inf
        until = min(self._end_by - now, self._begin_by - now, look)
        if until < math.inf:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(until, _TICK), self._look)

    def _look(self) -> None:
        self._timer = None
        answer = self._answer
        if answer is None or answer.ended:
            return
        now = time.perf_counter()
        error = self._find_overdue(answer, now)
        if error is None:
            self._arm(now)
        else:
            answer.fail(error)

    def _find_overdue(self, answer: Answer, now: float) -> RouterError | None:
        if now >= self._end_by:
            return self.out_of_time()
        if answer.first_at is not None:
            self._begin_by = math.inf
        if self._reply.lagging_since is not None:  # then the home is not listened to
            self._quiet = 0
            self._begin_by = max(self._begin_by, now + self._first_token)
        elif answer.first_at is None:
            if now >= self._begin_by:
                return FirstTokenTimeout(
                    f"The model did not begin its answer within {self._first_token:g} s."
                )
        elif answer.heard:
            answer.heard = False
            self._quiet = 0
        else:
            self._quiet += 1
            if self._quiet >= _LOOKS:
                return IdleTimeout(
                    f"The model said nothing for {self._idle:g} s in the middle of its answer."
                )
        return None
