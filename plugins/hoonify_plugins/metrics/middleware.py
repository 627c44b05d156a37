"""Count each request when it has settled: nothing is done while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter, Histogram

from hoonify_plugins.metrics.instruments import Instruments
from hoonify_router.api import Middleware, Phase, RequestContext
from hoonify_router.errors import Cancelled
from hoonify_router.types import Usage

OTHER = "other"
OPERATIONS = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}


class MetricsMiddleware(Middleware):
    """Counts and times requests.

    Args:
        instruments: Where to.
        models: Catalog IDs; every other name that clients come up with is ``other``.
        clock: Same as that of the requests' ``started``.
    """

    phase = Phase.OBSERVE

    def __init__(
        self,
        instruments: Instruments,
        models: frozenset[str],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._to = instruments
        self._models = models
        self._clock = clock
        self._series: dict[tuple[object, ...], Any] = {}

    def on_finally(self, ctx: RequestContext) -> None:
        """Count it."""
        seconds = self._clock() - ctx.started
        error = "" if ctx.error is None else ctx.error.code
        model, home = self._model(ctx), ctx.home
        place = "" if home is None else home.id
        self._one(self._to.requests, model, place, str(ctx.status), error).inc()
        request = ctx.request
        if request is None:
            return
        operation = (OPERATIONS[request.task], model, "" if home is None else home.backend)
        self._one(self._to.request_seconds, *operation, error).observe(seconds)
        if ctx.attempts:
            self._one(self._to.attempts, model).inc(ctx.attempts)
            if ctx.attempts > 1:
                self._one(self._to.failovers, model).inc(ctx.attempts - 1)
        if request.streams and (ctx.status == 200 or isinstance(ctx.error, Cancelled)):
            self._one(self._to.stream_endings, model, _ending(ctx)).inc()
        if ctx.first_token_at is not None:
            first = ctx.first_token_at - ctx.started
            if request.task != "embedding":
                self._one(self._to.first_token_seconds, *operation).observe(first)
            if ctx.usage is not None:
                self._count_tokens(operation, ctx.usage, seconds - first)

    def on_released(self, ctx: RequestContext, seconds: float) -> None:
        """Take down how long the slot of a client that left was still taken."""
        self._one(self._to.cancel_seconds, self._model(ctx)).observe(seconds)

    def _count_tokens(self, operation: tuple[str, str, str], usage: Usage, rest: float) -> None:
        self._one(self._to.tokens, *operation, "input").observe(usage.prompt_tokens)
        if usage.completion_tokens:
            self._one(self._to.tokens, *operation, "output").observe(usage.completion_tokens)
        if usage.completion_tokens > 1:
            each = rest / (usage.completion_tokens - 1)
            self._one(self._to.per_token_seconds, *operation).observe(each)

    def _model(self, ctx: RequestContext) -> str:
        if ctx.request is None:
            return ""
        return ctx.request.model if ctx.request.model in self._models else OTHER

    def _one(self, metric: Counter | Histogram, *labels: str) -> Any:
        """Return the series of these labels; finding it here costs a tenth of ``metric.labels``."""
        key = (metric, labels)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = metric.labels(*labels)
        return series


def _ending(ctx: RequestContext) -> str:
    if ctx.error is None:
        return ctx.finish_reason or "none"
    return "cancelled" if isinstance(ctx.error, Cancelled) else "error"
