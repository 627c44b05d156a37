"""The homes of models as this gateway process sees them: what is there now, and who may be asked."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from hoonify_router.answer import Answer
from hoonify_router.api import Candidate
from hoonify_router.breaker import Breaker
from hoonify_router.config.model import ModelConfig
from hoonify_router.errors import (
    HomeMisconfigured,
    HomeStopping,
    ModelUnavailable,
    RouterError,
)
from hoonify_router.support import Support
from hoonify_router.tally import Tally
from hoonify_router.types import Health, HomeView

LoadOf = Callable[[HomeView], Health | None]
"""How a home's engine does, as it last said."""

log = logging.getLogger(__name__)

_STATE_REASONS = {
    "stopped": "it is stopped",
    "starting": "it is starting",
    "loading": "it is loading",
    "draining": "it is about to stop",
    "failed": "it has failed and will be restarted",
    "unavailable": "it cannot run here",
}
_STATE_RETRY = {"starting": 5.0, "loading": 5.0, "draining": 2.0, "failed": 10.0, "stopped": 5.0}
_NEVER = 3600.0
_LEFT_ALONE = "it keeps failing and is left alone for a moment"


class Place(Candidate):
    """A home of a model in this gateway: what is there now, and whether it may be asked.

    It stays the same object as long as the home is in the tables. ``breaker`` is its circuit breaker, and
    ``timeouts`` are its model's. ``served`` counts the requests that have ever entered; ``tally`` is what
    happened here of late.

    Args:
        home: The home as the last table has it.
        support: What it can do for a request.
        config: Its model's part of the configuration.
        load_of: Tells how its engine does, when a balancer wants to know.
        left_alone: The places of its model whose breakers are not closed, by their keys; it enters itself.

    Attributes:
        number: Its place among the model's ready ones.
    """

    __slots__ = (
        "_left_alone",
        "_load_of",
        "_probe",
        "breaker",
        "number",
        "served",
        "support",
        "tally",
        "timeouts",
    )

    def __init__(
        self,
        home: HomeView,
        support: Support,
        config: ModelConfig,
        load_of: LoadOf | None = None,
        left_alone: dict[str, Place] | None = None,
    ) -> None:
        self._load_of = load_of
        self._left_alone = {} if left_alone is None else left_alone
        self.number = 0
        super().__init__(home)
        self.support = support
        self.timeouts = config.timeouts
        self.breaker = Breaker(config.breaker.failures, config.breaker.cool_down)
        self.tally = Tally()
        self._probe: tuple[int, Answer] | None = None
        self.served = 0

    @property
    def load(self) -> Health | None:
        """Return how the engine does, as it last said: found when it is asked for, not for every home of every choice."""
        return None if self._load_of is None else self._load_of(self.home)

    @load.setter
    def load(self, load: Health | None) -> None:
        """Take nothing: a candidate sets it when it is made."""

    def reconfigure(self, config: ModelConfig) -> None:
        """Take over another configuration of its model; what the breaker knows stays."""
        self.timeouts = config.timeouts
        self.breaker.reconfigure(config.breaker.failures, config.breaker.cool_down)

    def update(self, home: HomeView, support: Support) -> None:
        """Take over what a new table says; a home that has been somewhere else is judged afresh."""
        if (home.state, home.address) != (self.home.state, self.home.address):
            self.breaker.reset()
            self._probe = None
            self._left_alone.pop(self.home.key, None)
        self.home = home
        self.support = support

    def admits(self, now: float) -> bool:
        """Tell whether the breaker would let a request pass."""
        if self._probe is not None:
            permit, answer = self._probe
            if answer.first_at is not None and self.breaker.began(permit):
                self._told_closed()
        return self.breaker.admits(now)

    def enter(self, answer: Answer) -> int | None:
        """Count a request in and return its permit, or ``None`` where the breaker is open by now.

        Args:
            answer: What the home's answer is poured into; if this request is the probe, others may follow
                as soon as the answer has begun.
        """
        breaker = self.breaker
        permit = breaker.enter(0.0 if breaker.closed else time.monotonic())
        if permit is not None:
            self.in_flight += 1
            self.served += 1
            self.tally.live.add(answer)
            if not breaker.closed:
                self._probe = permit, answer
        return permit

    def leave(self, permit: int, error: RouterError | None) -> None:
        """Count a request out, once, and judge the home by how it ended."""
        self.in_flight -= 1
        breaker = self.breaker
        if error is None:
            if breaker.succeeded(permit):
                self._told_closed()
        elif is_fault_of_home(error):
            now = time.monotonic()
            if breaker.failed(permit, now):
                self._left_alone[self.home.key] = self
                told = "home %s has failed %s; it is left alone for %.0f s, then probed"
                times = f"{breaker.limit} times in a row" if breaker.trips == 1 else "its probe"
                log.warning(told, self.home.id, times, breaker.wait(now))
        else:
            breaker.released(permit, time.monotonic())
        if self._probe is not None and self._probe[0] == permit:
            self._probe = None

    def _told_closed(self) -> None:
        self._probe = None
        self._left_alone.pop(self.home.key, None)
        log.info("home %s answers again", self.home.id)


def is_fault_of_home(error: RouterError) -> bool:
    """Tell whether an error counts for the breaker: 5xx, timeouts and broken connections do.

    A full queue does not, nor a client's mistake or departure, nor a server that does not know our key:
    another pause would not heal it, and a client might be able to provoke it. A home that stops does what it
    was told to.
    """
    return isinstance(error, ModelUnavailable) and not isinstance(
        error, HomeMisconfigured | HomeStopping
    )


def time_until_it_may(place: Place, now: float) -> tuple[float, str]:
    """Return the seconds until a home may serve, and why it does not now."""
    home = place.home
    if home.state == "ready" and home.address and not place.admits(now):
        return max(1.0, place.breaker.wait(now)), _LEFT_ALONE
    reason = home.reason or _STATE_REASONS.get(home.state, "it is busy")
    if home.retry_after is not None:
        return home.retry_after, reason
    return _STATE_RETRY.get(home.state, _NEVER if home.state == "unavailable" else 1.0), reason
