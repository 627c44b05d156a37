"""The choice among a model's homes: the default way, and the care for those that plugins bring."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence

from hoonify_router.api import Balancer, Candidate, RequestContext
from hoonify_router.places import Place
from hoonify_router.types import Health, HomeView

log = logging.getLogger(__name__)

LoadOf = Callable[[HomeView], Health | None]
"""How a home's engine does, as it last said."""

_COMPLAIN_EVERY = 60.0


class RoundRobin(Balancer):
    """Homes take turns, each as often as its weight says, well mixed.

    Each turn a home earns its weight; who has most goes, and pays what all have earned. So shares are exact
    whichever homes may be asked, and nobody inherits the turns of one that may not.
    """

    def __init__(self) -> None:
        self._earned: dict[str, float] = {}

    def update(self, homes: Sequence[HomeView]) -> None:
        """Forget the homes that are gone; tables come often, turns go on."""
        self._earned = {home.id: self._earned.get(home.id, 0.0) for home in homes}

    def choose(self, candidates: Sequence[Candidate], ctx: RequestContext) -> Candidate:
        """Return the candidate whose turn it is."""
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


class Choice:
    """Lets a model's balancer choose; one that fails costs nobody an answer.

    Args:
        model: Catalog ID, for the log.
        balancer: Chooses.
        load_of: Tells how an engine does.
    """

    def __init__(self, model: str, balancer: Balancer, load_of: LoadOf | None = None) -> None:
        self._model = model
        self._balancer = balancer
        self._load_of = load_of
        self._complained = -math.inf

    def update(self, homes: Sequence[HomeView]) -> None:
        """Tell the balancer which homes there are."""
        try:
            self._balancer.update(homes)
        except Exception:
            log.exception("the balancer of %s failed to hear of its homes", self._model)

    def among(self, candidates: Sequence[Place], ctx: RequestContext) -> Place:
        """Return one of two or more."""
        if self._load_of is not None:
            for place in candidates:
                place.load = self._load_of(place.home)
        try:
            chosen = self._balancer.choose(candidates, ctx)
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
