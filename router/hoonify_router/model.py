"""One model of the catalog: its homes as this gateway knows them, and the choice among them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from hoonify_router.api import RequestContext
from hoonify_router.balancing import Choice
from hoonify_router.config.model import ModelConfig
from hoonify_router.errors import InvalidRequest
from hoonify_router.places import LoadOf, Place
from hoonify_router.support import Support
from hoonify_router.types import HomeView, InferenceRequest


class Model:
    """One model of the catalog, and its homes as the last routing table has them.

    Args:
        model_id: Its catalog ID.
        config: Its part of the configuration.
        choice: Chooses where several homes may be asked.
        load_of: Tells how a home's engine does.

    Attributes:
        homes: All of them, as the table has them.
        places: The same as this gateway knows them, by their ids.
        ready: Those that can be asked, as far as their breakers let it be; a tuple of its own for each table.
        shadow: The candidate that gets copies of requests, and what it can do; no home, and never chosen.
    """

    __slots__ = (
        "_choice",
        "_left_alone",
        "_load_of",
        "_support",
        "config",
        "homes",
        "id",
        "places",
        "ready",
        "shadow",
    )

    def __init__(
        self, model_id: str, config: ModelConfig, choice: Choice, load_of: LoadOf | None = None
    ) -> None:
        self.id = model_id
        self.config = config
        self.homes: tuple[HomeView, ...] = ()
        self.places: dict[str, Place] = {}
        self.ready: tuple[Place, ...] = ()
        self.shadow: tuple[HomeView, Support] | None = None
        self._choice = choice
        self._load_of = load_of
        self._support: Support | None = (
            None  # what all that are ready can do, where that is the same
        )
        self._left_alone: dict[str, Place] = {}

    def update(self, homes: tuple[HomeView, ...], supports: Mapping[str, Support]) -> None:
        """Take over what a new table says, and what each home can do by its id."""
        self.homes = homes
        before = {name: place.home.key for name, place in self.places.items()}
        same = [home for home in homes if before.get(home.id, home.key) == home.key]
        if len(same) < len(homes):  # what the balancer knows of the old ones is not true of the new
            self._choice.update(same)
        known = {place.home.key: place for place in self.places.values()}
        self.places = {}
        for home in homes:
            support = supports[home.id]
            place = known.get(home.key)
            if place is None:
                place = Place(home, support, self.config, self._load_of, self._left_alone)
            else:
                place.update(home, support)
            self.places[home.id] = place
        self.ready = tuple(
            place
            for place in self.places.values()
            if place.home.state == "ready" and place.home.address
        )
        for number, place in enumerate(self.ready):
            place.number = number
        for key in self._left_alone.keys() - {home.key for home in homes}:
            del self._left_alone[key]
        able = {id(place.support) for place in self.ready}
        self._support = self.ready[0].support if len(able) == 1 else None
        self._choice.update(homes)

    def reconfigure(self, config: ModelConfig, choice: Choice | None) -> None:
        """Take over another configuration; ``choice`` where the way to choose is another one, too."""
        self.config = config
        for place in self.places.values():
            place.reconfigure(config)
        if choice is not None:
            self._choice = choice

    def arrived(self, home: HomeView, support: Support) -> Place:
        """Take over what is known of a home before the table that says so is here."""
        place = self.places.get(home.id)
        if place is None or place.home.key != home.key:
            return Place(home, support, self.config, self._load_of)
        place.update(home, support)
        return place

    def pick(
        self, ctx: RequestContext, request: InferenceRequest, tried: Collection[str]
    ) -> Place | None:
        """Return the place that shall be asked next; ``None`` where there is none at the moment.

        Args:
            ctx: For the balancer.
            request: What is asked; places whose homes cannot honour it are left out.
            tried: Keys of the homes that have been asked already.

        Raises:
            WrongEndpoint: None of the homes does what is asked.
            Unsupported: None of them honours all of it.
        """
        ready = self.ready
        if len(ready) == 1 and not tried:
            place = ready[0]
            place.support.check(request)
            return place if place.breaker.closed or place.admits(time.monotonic()) else None
        if self._support is not None and not (tried or self._left_alone) and len(ready) > 1:
            self._support.check(request)  # however many there are, nobody looks at each of them
            return self._choice.among(ready, ctx)
        now = time.monotonic()
        candidates = []
        refusal: InvalidRequest | None = None
        able: Support | None = None  # homes that can do the same share one
        for place in ready:
            if place.support is not able:
                try:
                    place.support.check(request)
                except InvalidRequest as error:
                    refusal = refusal or error
                    continue
                able = place.support
            if place.home.key not in tried and place.admits(now):
                candidates.append(place)
        if len(candidates) > 1:
            return self._choice.among(candidates, ctx)
        if refusal is not None and able is None:
            raise refusal
        return candidates[0] if candidates else None

    @property
    def supports(self) -> dict[str, Support]:
        """Return what each home can do, by its id."""
        return {name: place.support for name, place in self.places.items()}

    @property
    def state(self) -> str:
        """Return the best state that one of its homes is in."""
        if self.ready:
            return "ready"
        states = {home.state for home in self.homes}
        order = ("loading", "starting", "stopped", "draining", "failed", "unavailable")
        return next((state for state in order if state in states), "starting")
