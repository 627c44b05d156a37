"""Count each request when it has settled: while it runs, nothing is done but to count it as running."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from hoonify_plugins.metrics import instruments as told
from hoonify_plugins.metrics.board import Board, Cells
from hoonify_plugins.metrics.instruments import Histogram, Metric
from hoonify_plugins.metrics.watch import LoopWatch
from hoonify_router.api import (
    HomeCall,
    Middleware,
    Phase,
    PluginContext,
    RequestContext,
    Vitals,
)
from hoonify_router.errors import BrokenAnswer, Cancelled, EngineDead, UnfinishedAnswer
from hoonify_router.types import InferenceRequest, Task, Usage

OTHER = "other"
OPERATIONS = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}

_FLIGHT = "metrics.in_flight"
_STATUSES = frozenset({*map(int, HTTPStatus), 499})


class MetricsMiddleware(Middleware):
    """Counts and times requests.

    Args:
        open_board: Claims this process's cells.
        models: Catalog IDs; every other name that clients come up with is ``other``.
        vitals: Tells how this gateway does.
        clock: Same as that of the requests' ``started``.
    """

    phase = Phase.OBSERVE

    def __init__(
        self,
        open_board: Callable[[], Board],
        models: frozenset[str],
        vitals: Callable[[], Vitals] = Vitals,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._board = open_board()
        self._models = models
        self._clock = clock
        self._cells: dict[tuple[object, ...], Cells] = {}
        self._flights: dict[str, Cells] = {}
        self._histograms: dict[tuple[object, ...], Histogram] = {}
        self._rows: dict[tuple[object, ...], _Row] = {}
        self._calls: dict[tuple[object, ...], Histogram] = {}
        self._watch = LoopWatch(self._board, vitals)
        self._one(told.UNTRUTHFUL_STREAMS)  # a series that never was cannot be watched

    def reload(self, settings: Any, context: PluginContext) -> None:
        """Know the new catalog."""
        self._models = frozenset(context.current.config.models)
        self._flights.clear()

    async def startup(self) -> None:
        """Begin to watch this gateway."""
        self._watch.start()

    async def shutdown(self) -> None:
        """End it; what was counted stays."""
        self._watch.stop()
        self._board.close()

    def on_request(self, ctx: RequestContext) -> None:
        """Count it in."""
        request = ctx.request
        if request is not None:
            cells = self._flights.get(request.model)
            if cells is None:
                cells = self._one(told.IN_FLIGHT, self._model(request))
                if request.model in self._models:
                    self._flights[request.model] = cells
            ctx.state[_FLIGHT] = cells
            cells[0] += 1.0

    def on_finally(self, ctx: RequestContext) -> None:
        """Count it out, and what it came to."""
        seconds = self._clock() - ctx.started
        request, home, error = ctx.request, ctx.home, ctx.error
        flight = ctx.state.pop(_FLIGHT, None)
        if flight is not None:
            flight[0] -= 1.0
        if request is None:
            status, code = _status(ctx), "" if error is None else type(error).code
            self._one(told.REQUESTS, "", "", status, code)[0] += 1.0
            if ctx.status == 429:
                self._one(told.REFUSALS, "", code)[0] += 1.0
            return
        model = self._model(request)
        place, backend = ("", "") if home is None else (home.id, home.backend)
        key = (request.task, model, place, backend, ctx.status, type(error))
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self._make_row(ctx, model, place, backend)
        row.requests[0] += 1.0
        row.seconds.observe(seconds)
        if row.refusals is not None:
            row.refusals[0] += 1.0
        calls = ctx.calls
        if row.call is not None and len(calls) == 1 and calls[0].home is home:
            assert row.attempts is not None
            row.attempts[0] += 1.0
            row.call.observe(calls[0].ended - calls[0].started)
        elif calls:
            self._count_calls(ctx, model)
        if request.streams and (ctx.status == 200 or isinstance(error, Cancelled)):
            self._one(told.STREAM_ENDINGS, model, _ending(ctx))[0] += 1.0
        if ctx.first_token_at is not None:
            first = ctx.first_token_at - ctx.started
            tokens = row.tokens
            if tokens is None:
                tokens = row.tokens = self._make_tokens(request.task, model, backend)
            tokens.count(first, seconds - first, ctx.usage)

    def on_released(self, ctx: RequestContext, seconds: float) -> None:
        """Take down how long the slot of a client that left was still taken."""
        model = "" if ctx.request is None else self._model(ctx.request)
        self._histogram(told.CANCEL, model).observe(seconds)

    def _count_calls(self, ctx: RequestContext, model: str) -> None:
        """Count every home that was asked."""
        assert ctx.request is not None
        calls = ctx.calls
        last = calls[-1]
        for call in calls:
            home, error = call.home, call.error
            self._one(told.ATTEMPTS, model, home.id)[0] += 1.0
            key = (ctx.request.task, model, home.id, home.backend, type(error))
            series = self._calls.get(key)
            if series is None:
                operation = OPERATIONS[ctx.request.task], model, home.backend
                code = "" if error is None else type(error).code
                series = self._histogram(told.CALL, *operation, home.id, code)
                self._calls[key] = series
            series.observe(call.ended - call.started)
            if error is None:
                continue
            if call is not last:
                self._one(told.FAILOVERS, model, home.id, type(error).code)[0] += 1.0
            if isinstance(error, EngineDead) and (fault := _fault(call)):
                self._one(told.BROKEN_ANSWERS, model, home.id, fault)[0] += 1.0

    def _make_row(self, ctx: RequestContext, model: str, place: str, backend: str) -> _Row:
        assert ctx.request is not None
        code = "" if ctx.error is None else type(ctx.error).code
        operation = OPERATIONS[ctx.request.task], model, backend
        row = _Row(
            self._one(told.REQUESTS, model, place, _status(ctx), code),
            self._one(told.REFUSALS, model, code) if ctx.status == 429 else None,
            self._histogram(told.REQUEST, *operation, code),
        )
        if ctx.error is None and ctx.home is not None:
            row.attempts = self._one(told.ATTEMPTS, model, place)
            row.call = self._histogram(told.CALL, *operation, place, "")
        return row

    def _make_tokens(self, task: Task, model: str, backend: str) -> _Tokens:
        operation = OPERATIONS[task], model, backend
        taken = self._histogram(told.USED, *operation, "input")
        if task == "embedding":
            return _Tokens(taken)  # a vector is no token
        return _Tokens(
            taken,
            self._histogram(told.USED, *operation, "output"),
            self._histogram(told.FIRST_TOKEN, *operation),
            self._histogram(told.PER_TOKEN, *operation),
        )

    def _model(self, request: InferenceRequest) -> str:
        return request.model if request.model in self._models else OTHER

    def _one(self, metric: Metric, *values: str) -> Cells:
        """Return the cell of a counter or a gauge."""
        key = (metric.name, values)
        cells = self._cells.get(key)
        if cells is None:
            cells = self._cells[key] = self._board.cells(metric.describe(*values))
        return cells

    def _histogram(self, metric: Metric, *values: str) -> Histogram:
        key = (metric.name, values)
        series = self._histograms.get(key)
        if series is None:
            series = self._histograms[key] = Histogram(self._board, metric, *values)
        return series


class _Row:
    """What requests of one kind and one end are counted in, found once for all of them.

    ``attempts`` and ``call`` are those of the home, where a good end tells that the only one that was asked was good.
    """

    __slots__ = ("attempts", "call", "refusals", "requests", "seconds", "tokens")

    def __init__(self, requests: Cells, refusals: Cells | None, seconds: Histogram) -> None:
        self.requests = requests
        self.refusals = refusals
        self.seconds = seconds
        self.tokens: _Tokens | None = None
        self.attempts: Cells | None = None
        self.call: Histogram | None = None


class _Tokens:
    """The tokens of one operation, and how fast they came."""

    __slots__ = ("_first", "_given", "_per_token", "_taken")

    def __init__(
        self,
        taken: Histogram,
        given: Histogram | None = None,
        first: Histogram | None = None,
        per_token: Histogram | None = None,
    ) -> None:
        self._taken = taken
        self._given = given
        self._first = first
        self._per_token = per_token

    def count(self, first: float, rest: float, usage: Usage | None) -> None:
        """Count an answer that began after ``first`` seconds and took ``rest`` more."""
        if self._first is not None:
            self._first.observe(first)
        if usage is None:
            return
        self._taken.observe(usage.prompt_tokens)
        tokens = usage.completion_tokens
        if tokens and self._given is not None and self._per_token is not None:
            self._given.observe(tokens)
            if tokens > 1:
                self._per_token.observe(rest / (tokens - 1))


def _status(ctx: RequestContext) -> str:
    return str(ctx.status) if ctx.status in _STATUSES else OTHER


def _ending(ctx: RequestContext) -> str:
    if ctx.error is None:
        return ctx.finish_reason or "none"
    return "cancelled" if isinstance(ctx.error, Cancelled) else "error"


def _fault(call: HomeCall) -> str:
    """Return how an engine broke an answer; nothing where there was none to break."""
    if isinstance(call.error, BrokenAnswer):
        return "broken"
    if isinstance(call.error, UnfinishedAnswer):
        return "unfinished"
    return "cut_off" if call.first_at is not None else ""
