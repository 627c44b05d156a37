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

_LOOKS = 0.25  # of an idle time; so often it looks, so that silence ends late by a quarter at most
_TICK = 0.001
_REST = 20e-6  # seconds per request under way: a look at one costs a hundredth of that


class Clocks:
    """Looks after all requests of a gateway with one timer.

    The timer is set for the first look that is due, and a request's first one is far away: one that has
    ended by then, as nearly all have, costs an entry in a dictionary.

    A look goes over all of them, so it rests the longer the more there are: of 10,000 streams that began one after
    the other each is due at another millisecond, and looks at all of them for each would take half of the CPU.
    """

    __slots__ = ("_next", "_rested", "_timer", "_watched")

    def __init__(self) -> None:
        self._watched: dict[Patience, None] = {}
        self._next = math.inf
        self._rested = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, patience: Patience) -> None:
        """Look after a request, first when it is due."""
        self._watched[patience] = None
        if patience.due < self._next:
            self._set(patience.due, time.perf_counter())

    def discard(self, patience: Patience) -> None:
        """Let go of it."""
        self._watched.pop(patience, None)

    def _set(self, due: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = due
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(due - now, self._rested - now, _TICK), self._look)

    def _look(self) -> None:
        self._timer = None
        self._next = math.inf
        now = time.perf_counter()
        self._rested = now + len(self._watched) * _REST
        for patience in list(self._watched):
            if patience.due <= now:
                patience.look(now)
        due = min([patience.due for patience in self._watched], default=math.inf)
        if due < math.inf:
            self._set(due, now)


class Patience:
    """Fails a request's answer when it takes too long; an event costs no more than the answer's ``heard`` flag.

    Args:
        clocks: Calls ``look``.
        total: Seconds for the whole request; 0 is no limit.
        reply: Tells whether the client reads: one that does not is no fault of the home.
        started: ``time.perf_counter()`` when the request arrived.

    Attributes:
        due: When it wants to look next.
    """

    __slots__ = (
        "_answer",
        "_begin_by",
        "_clocks",
        "_end_by",
        "_quiet",
        "_reply",
        "_timeouts",
        "_total",
        "due",
    )

    def __init__(self, clocks: Clocks, total: float, reply: Reply, started: float) -> None:
        self._clocks = clocks
        self._reply = reply
        self._total = total
        self._end_by = started + total if total else math.inf

    @property
    def left(self) -> float:
        """Return the seconds that the request has left."""
        return max(0.0, self._end_by - time.perf_counter())

    def watch(self, answer: Answer, timeouts: Timeouts, shows_begin: bool) -> None:
        """Look after the answer of a home that is asked now, until ``relax``.

        Args:
            answer: It.
            timeouts: Of the model that the home serves; its total is of no meaning here.
            shows_begin: Whether it can be seen beginning. An answer in one piece from a server cannot: all
                that is known of it is whether it has come, so only its total counts.
        """
        now = time.perf_counter()
        self._answer = answer
        self._timeouts = timeouts
        self._quiet = 0
        waits = shows_begin and timeouts.first_token
        self._begin_by = now + timeouts.first_token if waits else math.inf
        self._plan(now)
        if self.due < math.inf:
            self._clocks.add(self)

    def relax(self) -> None:
        """Look after nothing any more."""
        self._clocks.discard(self)

    def out_of_time(self) -> RouterError:
        """Return the error of a request whose whole time is up."""
        return TotalTimeout(
            f"The answer was not complete within {self._total:g} s, this model's limit."
        )

    def look(self, now: float) -> None:
        """See how the answer is doing."""
        answer = self._answer
        error = None if answer.ended else self._find_overdue(answer, now)
        self._plan(now)
        if error is not None:
            self.relax()
            answer.fail(error)

    def _plan(self, now: float) -> None:
        due = min(self._begin_by, self._end_by)
        if (idle := self._timeouts.idle) and now + idle * _LOOKS < due:
            due = now + idle * _LOOKS
        self.due = due

    def _find_overdue(self, answer: Answer, now: float) -> RouterError | None:
        if now >= self._end_by:
            return self.out_of_time()
        timeouts = self._timeouts
        if answer.first_at is not None:
            self._begin_by = math.inf
        if self._reply.lagging_since is not None:  # then the home is not listened to
            self._quiet = 0
            self._begin_by = max(self._begin_by, now + timeouts.first_token)
        elif answer.first_at is None:
            if now >= self._begin_by:
                return FirstTokenTimeout(
                    f"The model did not begin its answer within {timeouts.first_token:g} s."
                )
        elif answer.heard:
            answer.heard = False
            self._quiet = 0
        else:
            self._quiet += 1
            if self._quiet * _LOOKS >= 1:
                return IdleTimeout(
                    f"The model said nothing for {timeouts.idle:g} s in the middle of its answer."
                )
        return None
