"""``GET /metrics``: what all gateways have counted, in Prometheus' text form."""

from __future__ import annotations

import asyncio
import hmac
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import get_args

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_plugins.metrics import instruments as told
from hoonify_plugins.metrics.board import Description, read_boards
from hoonify_router.api import Vitals
from hoonify_router.errors import AuthenticationFailed, MissingAPIKey
from hoonify_router.types import HomeState

_STATES: tuple[str, ...] = get_args(HomeState)


class Exposition:
    """Answers for all gateway processes of one router.

    What gateways count is added up out of their files. What the supervisor knows of homes is in the routing
    table that it has told all gateways, so the one that answers tells it alone.

    Args:
        folder: Where the gateways' files are.
        vitals: Tells how this gateway does.
        token: What a reader must bring; ``None`` lets everybody read.
    """

    def __init__(
        self, folder: Path, vitals: Callable[[], Vitals] = Vitals, token: str | None = None
    ) -> None:
        self._folder = folder
        self._vitals = vitals
        self._token = token

    async def answer(self, request: Request) -> HTTPResponse:
        """Add everything up, in a thread: it takes milliseconds, and streams go on.

        Raises:
            AuthenticationFailed: The reader has not brought the token.
        """
        if self._token is not None:
            self._check(request.headers.get("authorization"))
        body = await asyncio.to_thread(self.text, self._vitals())
        return HTTPResponse(body, content_type=CONTENT_TYPE_LATEST)

    def text(self, vitals: Vitals | None = None) -> bytes:
        """Return the text.

        Args:
            vitals: How the gateway that answers does.
        """
        registry = CollectorRegistry()
        registry.register(_Snapshot(list(self._families(vitals or Vitals()))))
        return generate_latest(registry)

    def _check(self, brought: str | None) -> None:
        assert self._token is not None
        if brought is None:
            raise MissingAPIKey("Metrics are told to those who bring their token as Bearer.")
        if not hmac.compare_digest(brought.encode(), f"Bearer {self._token}".encode()):
            raise AuthenticationFailed("This is not the token that metrics are told for.")

    def _families(self, vitals: Vitals) -> Iterator[Metric]:
        added: dict[Description, list[float]] = {}
        for alive, description, cells in read_boards(self._folder):
            if description.kind == "gauge" and not alive:
                continue
            known = added.get(description)
            if known is None:
                added[description] = cells
            elif description.join == "max":
                known[0] = max(known[0], cells[0])
            else:
                added[description] = [a + b for a, b in zip(known, cells, strict=True)]
        for description, value in _states(vitals):
            added[description] = [value]
        in_order = sorted(added, key=lambda one: (one.name, one.kind, one.labels, one.values))
        for _, group in itertools.groupby(in_order, key=lambda one: one.name):
            yield _family([(description, added[description]) for description in group])


class _Snapshot(Collector):
    """What was read, once: a registry reads a collector when it is registered, and again to tell it."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _states(vitals: Vitals) -> Iterator[tuple[Description, float]]:
    """Yield what the routing table tells."""
    if vitals.generation:
        yield told.GENERATION.describe(), float(vitals.generation)
    for result, number in vitals.reloads.items():
        yield told.RELOADS.describe(result), float(number)
    for one in vitals.homes:
        home = one.home
        for state in _STATES:
            yield told.HOME_STATE.describe(home.model, home.id, state), float(home.state == state)
        if home.starts:
            yield told.HOME_STARTS.describe(home.model, home.id), float(home.starts)
        if home.load_seconds is not None:
            yield told.HOME_LOAD.describe(home.model, home.id), home.load_seconds


def _family(series: list[tuple[Description, list[float]]]) -> Metric:
    first = series[0][0]
    if first.kind == "histogram":
        histogram = HistogramMetricFamily(first.name, first.help, labels=first.labels)
        bounds = [*map(repr, first.bounds), "+Inf"]
        for description, cells in series:
            counts = itertools.accumulate(cells[:-1])
            buckets = list(zip(bounds, counts, strict=True))
            histogram.add_metric(description.values, buckets, cells[-1])
        return histogram
    kind = CounterMetricFamily if first.kind == "counter" else GaugeMetricFamily
    family = kind(first.name, first.help, labels=first.labels)
    for description, cells in series:
        if description.labels == first.labels:  # a plugin's may differ; Prometheus wants one set
            family.add_metric(description.values, cells[0])
    return family
