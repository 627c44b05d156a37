"""The choice among a model's homes: the default way, and the care for those that plugins bring."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence

from hoonify_router.api import Balancer, Candidate, RequestContext
from hoonify_router.places import Place
from hoonify_router.types import HomeView

log = logging.getLogger(__name__)

_COMPLAIN_EVERY = 60.0
_LONGEST_ROUND = 1 << 16  # turns that are remembered; very uneven weights are worked out every time


class RoundRobin(Balancer):
    """Homes take turns, each as often as its weight says, well mixed.

    Each turn a home earns its weight; who has most goes, and pays what all have earned. So shares are exact
    whichever homes may be asked, and nobody inherits the turns of one that may not.

    While all of them may be asked, who goes when comes round again and again: it is worked out once, and then a turn
    costs the same for two homes and for two hundred.
    """

    def __init__(self) -> None:
        self._earned: dict[str, float] = {}
        self._round: Round | None = None

    def update(self, homes: Sequence[HomeView]) -> None:
        """Forget the homes that are gone; tables come often, turns go on."""
        self._earned = {home.id: self._earned.get(home.id, 0.0) for home in homes}

    def choose(self, candidates: Sequence[Candidate], ctx: RequestContext) -> Candidate:
        """Return the candidate whose turn it is."""
        if isinstance(candidates, tuple):  # all of them
            homes: tuple[Candidate, ...] = candidates
            if self._round is None or not self._round.is_of(homes):
                self._round = Round(homes)
            return homes[self._round.next()]
        earned = self._earned
        total = 0.0
        best, most = candidates[0], -math.inf
        for one in candidates:
            home = one.home
            total += home.weight
            has = earned[home.id] = earned.get(home.id, 0.0) + home.weight
            if has > most:
                best, most = one, has
        earned[best.home.id] -= total
        return best


class Round:
    """The turns of the same homes, worked out one by one and then known, for they come round.

    Args:
        homes: Whose turns they are.
    """

    __slots__ = ("_at", "_earned", "_homes", "_length", "_turns", "_weights", "_who")

    def __init__(self, homes: tuple[Candidate, ...]) -> None:
        self._homes = homes
        self._who = _who(homes)
        weights = [home.home.weight for home in homes]
        common = math.gcd(*weights)
        self._weights = [weight // common for weight in weights]
        self._length = sum(self._weights)
        self._earned = [0] * len(homes)
        self._turns: list[int] = []
        self._at = 0

    def is_of(self, homes: tuple[Candidate, ...]) -> bool:
        """Tell whether these are its homes, in another table maybe."""
        if homes is not self._homes:
            if _who(homes) != self._who:
                return False
            self._homes = homes
        return True

    def next(self) -> int:
        """Return the number of the home whose turn it is."""
        at, turns = self._at, self._turns
        if at < len(turns):
            self._at = 0 if at + 1 == self._length else at + 1
            return turns[at]
        earned = self._earned = [
            has + gets for has, gets in zip(self._earned, self._weights, strict=True)
        ]
        best = earned.index(max(earned))
        earned[best] -= self._length
        if self._length <= _LONGEST_ROUND:
            turns.append(best)
            self._at = 0 if at + 1 == self._length else at + 1
        return best


def _who(homes: Sequence[Candidate]) -> list[tuple[str, int]]:
    return [(one.home.id, one.home.weight) for one in homes]


class Choice:
    """Lets a model's balancer choose; one that fails costs nobody an answer.

    Args:
        model: Catalog ID, for the log.
        balancer: Chooses.
    """

    def __init__(self, model: str, balancer: Balancer) -> None:
        self._model = model
        self._balancer = balancer
        self._complained = -math.inf

    def update(self, homes: Sequence[HomeView]) -> None:
        """Tell the balancer which homes there are."""
        try:
            self._balancer.update(homes)
        except Exception:
            log.exception("the balancer of %s failed to hear of its homes", self._model)

    def among(self, candidates: Sequence[Place], ctx: RequestContext) -> Place:
        """Return one of two or more."""
        try:
            chosen = self._balancer.choose(candidates, ctx)
            if isinstance(chosen, Place) and candidates[chosen.number % len(candidates)] is chosen:
                return chosen  # as always while all may be asked
            for place in candidates:
                if place is chosen:
                    return place
            raise TypeError(f"{chosen!r:.100} is none of the candidates")
        except Exception:
            now = time.monotonic()
            if now >= self._complained + _COMPLAIN_EVERY:
                self._complained = now
                log.exception(
                    "the balancer of %s failed; the least busy home is taken", self._model
                )
        return min(candidates, key=lambda place: place.in_flight / place.home.weight)
