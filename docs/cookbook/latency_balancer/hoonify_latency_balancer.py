"""Prefers the home that has lately begun its answers soonest: an observer that measures, a balancer that chooses.

Name both: `pipeline: [latency]`, and `balance: latency` for a model. The plugin is an object, because the two share
what was measured.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Sequence
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from hoonify_router.api import (
    Balancer,
    BalancerSpec,
    Candidate,
    Middleware,
    MiddlewareSpec,
    Phase,
    PluginContext,
    RequestContext,
    hookimpl,
)
from hoonify_router.types import HomeView


class NoSettings(Struct, forbid_unknown_fields=True):
    """The observer has none."""


class LatencySettings(Struct, forbid_unknown_fields=True):
    """What `balance_options:` may say."""

    explore: Annotated[
        float, Meta(description="Share of requests that try any home, to learn.", ge=0, le=1)
    ] = 0.05


class Latencies:
    """How long homes take until their answers begin: a moving average each, bounded by the homes there are."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    def note(self, home: str, seconds: float) -> None:
        """Take a measurement."""
        before = self._known.get(home, seconds)
        self._known[home] = before + 0.2 * (seconds - before)

    def of(self, home: str) -> float:
        """Return the average; a home that is not known yet is worth a try."""
        return self._known.get(home, 0.0)


class LatencyObserver(Middleware):
    """Measures, and decides nothing."""

    phase: ClassVar[Phase] = Phase.OBSERVE

    def __init__(self, latencies: Latencies) -> None:
        self._latencies = latencies

    def on_finally(self, ctx: RequestContext) -> Awaitable[None] | None:
        """Take the times of all homes that were asked."""
        for call in ctx.calls:
            first = call.first_at if call.first_at is not None else call.ended
            self._latencies.note(call.home.id, max(first - call.started, 0.0))
        return None


class LatencyBalancer(Balancer):
    """Takes the quickest home, counting what waits there already."""

    def __init__(self, settings: LatencySettings, latencies: Latencies) -> None:
        self._settings = settings
        self._latencies = latencies
        self._dice = random.Random()

    def update(self, homes: Sequence[HomeView]) -> None:
        """There is nothing to remember of homes that have gone: their names come back with them."""

    def choose(self, candidates: Sequence[Candidate], ctx: RequestContext) -> Candidate:
        """Return the candidate of which the answer will probably begin first."""
        if self._dice.random() < self._settings.explore:
            return self._dice.choice(list(candidates))
        return min(candidates, key=self._expected)

    def _expected(self, candidate: Candidate) -> tuple[float, int]:
        seconds = self._latencies.of(candidate.home.id) * (1 + candidate.in_flight)
        return seconds, candidate.in_flight


class LatencyPlugin:
    """Prefers the home that has lately begun its answers soonest."""

    hoonify_api_version = (1, 0)

    def __init__(self) -> None:
        self.latencies = Latencies()

    @hookimpl
    def hoonify_register_middleware(self) -> list[MiddlewareSpec]:
        """Register the observer."""

        def build(settings: NoSettings, context: PluginContext) -> LatencyObserver:
            return LatencyObserver(self.latencies)

        return [MiddlewareSpec("latency", "Measures how soon homes answer.", NoSettings, build)]

    @hookimpl
    def hoonify_register_balancers(self) -> list[BalancerSpec]:
        """Register the balancer."""

        def build(settings: LatencySettings) -> LatencyBalancer:
            return LatencyBalancer(settings, self.latencies)

        summary = "The home that has lately answered soonest."
        return [BalancerSpec("latency", summary, LatencySettings, build)]


plugin = LatencyPlugin()
