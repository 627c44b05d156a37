"""Balancers: how a home is chosen where a model has several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from hoonify_router.api.middleware import RequestContext
from hoonify_router.types import Health, HomeView


@dataclass(slots=True)
class Candidate:
    """A home that could serve a request now.

    Args:
        home: Which.
        in_flight: Requests of this gateway process that are there now.
        load: How the engine does, as it last said; ``None`` where it does not tell.
    """

    home: HomeView
    in_flight: int = 0
    load: Health | None = None


class Balancer:
    """Chooses among the homes of one model; one instance per model in each gateway process.

    Called on a request's way, on the gateway's event loop: it must not block, and what it remembers
    must be bounded.
    """

    def update(self, homes: Sequence[HomeView]) -> None:
        """Hear which homes the model has now, ready or not; called before the first ``choose``."""

    def choose(self, candidates: Sequence[Candidate], ctx: RequestContext) -> Candidate:
        """Return one of ``candidates``, of which there are two or more; all are ready and may be asked."""
        raise NotImplementedError


@dataclass(frozen=True)
class BalancerSpec:
    """A way to choose among homes, by the name that ``balance:`` says.

    Args:
        name: What ``balance:`` says.
        summary: One line for ``plugins list``.
        settings: Struct for ``balance_options:``, with ``forbid_unknown_fields=True``.
        build: Called for each model that uses it, in each gateway, with the checked settings.
    """

    name: str
    summary: str
    settings: type[Struct]
    build: Callable[[Any], Balancer]
