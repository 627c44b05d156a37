"""A circuit breaker as pure policy: a home that keeps failing is left alone for a while, then probed.

    closed -- failures in a row --> open -- cool-down over, one request enters --> half-open
      ^                              ^                                               |  |
      |                              `------------ the probe failed: twice the pause-'  |
      `-------------------------------------------- the probe's answer began -----------'

Nothing in here has an effect or looks at a clock: times are seconds of any monotonic clock and are passed in.
"""

from __future__ import annotations

from typing import Literal

State = Literal["closed", "open", "half-open"]

CLOSED: State = "closed"
OPEN: State = "open"
HALF_OPEN: State = "half-open"

LONGEST_PAUSE = 300.0
"""Seconds over which a pause does not double."""


class Breaker:
    """The breaker of one home.

    Whoever asks the home takes a permit with ``enter`` and gives it back with exactly one of ``succeeded``,
    ``failed`` and ``released``; ``began`` may come before. A permit from before the breaker opened last is
    no news: what is told with it changes nothing.

    Args:
        failures: Failures in a row that open it.
        cool_down: Seconds for which it stays open at first.

    Attributes:
        state: ``closed``, ``open`` or ``half-open``.
        closed: Whether it is closed; the common case in one look.
        limit: Failures in a row that open it.
        retry_at: From when on a probe may enter; of no meaning while it is closed.
        trips: How often it has opened since the last whole answer.
    """

    __slots__ = (
        "_failures",
        "_pause",
        "_time",
        "closed",
        "limit",
        "retry_at",
        "state",
        "trips",
    )

    def __init__(self, failures: int, cool_down: float) -> None:
        self.limit = failures
        self._pause = cool_down
        self._failures = 0
        self._time = 0  # counts up whenever earlier permits lose their meaning
        self.state: State = CLOSED
        self.closed = True
        self.retry_at = 0.0
        self.trips = 0

    def reconfigure(self, failures: int, cool_down: float) -> None:
        """Take over other limits; what has happened stays."""
        self.limit = failures
        self._pause = cool_down

    def admits(self, now: float) -> bool:
        """Tell whether a request could enter now."""
        return self.closed or (self.state == OPEN and now >= self.retry_at)

    def wait(self, now: float) -> float:
        """Return the seconds after which a request may be able to enter."""
        if self.closed:
            return 0.0
        return max(0.0, self.retry_at - now)

    def enter(self, now: float) -> int | None:
        """Return a permit, or ``None`` where no request may enter; exactly one is the probe."""
        if self.closed:
            return self._time
        if self.state == HALF_OPEN or now < self.retry_at:
            return None
        self._go(HALF_OPEN)
        return self._time

    def began(self, permit: int) -> bool:
        """Note that the probe's answer has begun: others may follow while it goes on.

        The breaker closes on trial: it takes one failure to open it again, and a whole answer to be as
        patient as before.

        Returns:
            Whether this has closed the breaker.
        """
        if permit != self._time or self.closed:
            return False
        self.state, self.closed = CLOSED, True  # the permit stays good: this answer can still fail
        self._failures = self.limit - 1
        return True

    def succeeded(self, permit: int) -> bool:
        """Note that the home has answered.

        Returns:
            Whether this has closed the breaker.
        """
        if permit != self._time:
            return False
        closes = not self.closed
        self.state, self.closed = CLOSED, True
        self._failures = self.trips = 0
        return closes

    def failed(self, permit: int, now: float) -> bool:
        """Note a failure of the home: a status of 500 or more, a timeout, a broken connection.

        Returns:
            Whether this has opened the breaker.
        """
        if permit != self._time:
            return False
        self._failures += 1
        if self.closed and self._failures < self.limit:
            return False
        pause = min(self._pause * 2.0 ** min(self.trips, 30), max(self._pause, LONGEST_PAUSE))
        self.trips += 1
        self._go(OPEN)
        self.retry_at = now + pause
        return True

    def released(self, permit: int, now: float) -> None:
        """Give a permit back that says nothing of the home: the client left, or its request was refused."""
        if permit == self._time and self.state == HALF_OPEN:
            self._go(OPEN)
            self.retry_at = now

    def reset(self) -> None:
        """Start afresh: the home has been started anew, and all earlier permits are no news."""
        self._time += 1
        self._failures = self.trips = 0
        self.state, self.closed = CLOSED, True

    def _go(self, state: State) -> None:
        self.state, self.closed = state, False
        self._failures = 0
        self._time += 1
