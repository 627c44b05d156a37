"""What is counted and timed: every metric's name, labels and buckets, in one place.

Names follow OpenTelemetry's conventions for generative AI in Prometheus' form where there is one. Labels never
hold what a client made up.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

from hoonify_plugins.metrics.board import Board, Description

REQUEST_SECONDS = tuple(0.01 * 2**n for n in range(14))
FIRST_TOKEN_SECONDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08),
    *(0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
)
PER_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
TOKENS = tuple(4.0**n for n in range(12))
CANCEL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

OPERATION = ("gen_ai_operation_name", "gen_ai_request_model", "gen_ai_provider_name")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: what is told of it to Prometheus, and how processes' numbers of it become one."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    join: Literal["sum", "max"] = "sum"

    def describe(self, *values: str) -> Description:
        """Return the series with these values of its labels."""
        return Description(
            self.name, self.kind, self.help, self.labels, values, self.bounds, self.join
        )


REQUESTS = Metric(
    "hoonify_requests_total",
    "counter",
    "Requests, by the catalog ID that was asked for, the home that answered, and how it ended.",
    ("model", "home", "status", "error_type"),
)
IN_FLIGHT = Metric(
    "hoonify_requests_in_flight",
    "gauge",
    "Requests that have been admitted and have not ended.",
    ("model",),
)
REFUSALS = Metric(
    "hoonify_rate_limit_refusals_total",
    "counter",
    "Requests refused with 429: over a key's limit, or a model's queue is full.",
    ("model", "code"),
)
ATTEMPTS = Metric(
    "hoonify_attempts_total",
    "counter",
    "Homes that were asked, the first and all further ones of each request.",
    ("model", "home"),
)
FAILOVERS = Metric(
    "hoonify_failovers_total",
    "counter",
    "Homes that failed a request which then was asked of another one.",
    ("model", "home", "error_type"),
)
STREAM_ENDINGS = Metric(
    "hoonify_stream_endings_total",
    "counter",
    "Streams by their end: a finish reason, `error`, or `cancelled` when the client left.",
    ("model", "ending"),
)
UNTRUTHFUL_STREAMS = Metric(
    "hoonify_untruthful_streams_total",
    "counter",
    "Streams that ended with neither a finish nor an error although the client was there; must stay 0.",
)
BROKEN_ANSWERS = Metric(
    "hoonify_broken_answers_total",
    "counter",
    "Answers that engines broke and that ended with an error instead of looking whole.",
    ("model", "home", "kind"),
)
CANCEL = Metric(
    "hoonify_cancel_seconds",
    "histogram",
    "From a client's disconnect until its slot at the engine was free.",
    ("model",),
    CANCEL_SECONDS,
)
REQUEST = Metric(
    "gen_ai_server_request_duration_seconds",
    "histogram",
    "Whole requests for a model.",
    (*OPERATION, "error_type"),
    REQUEST_SECONDS,
)
FIRST_TOKEN = Metric(
    "gen_ai_server_time_to_first_token_seconds",
    "histogram",
    "Until the first token had come.",
    OPERATION,
    FIRST_TOKEN_SECONDS,
)
PER_TOKEN = Metric(
    "gen_ai_server_time_per_output_token_seconds",
    "histogram",
    "Each token after the first, on an answer's average.",
    OPERATION,
    PER_TOKEN_SECONDS,
)
CALL = Metric(
    "gen_ai_client_operation_duration_seconds",
    "histogram",
    "The router's calls to homes, each of them.",
    (*OPERATION, "home", "error_type"),
    REQUEST_SECONDS,
)
USED = Metric(
    "gen_ai_client_token_usage",
    "histogram",
    "Tokens of a request, as the engine counted them.",
    (*OPERATION, "gen_ai_token_type"),
    TOKENS,
)
HOME_IN_FLIGHT = Metric(
    "hoonify_home_requests_in_flight",
    "gauge",
    "Requests that are at a home.",
    ("model", "home"),
)
HOME_QUEUED = Metric(
    "hoonify_home_requests",
    "gauge",
    "Requests at a home by its engine's own word: running, or queued in front of it.",
    ("model", "home", "state"),
    join="max",
)
HOME_BREAKERS = Metric(
    "hoonify_home_breakers",
    "gauge",
    "Gateways by the state of their circuit breaker for a home.",
    ("model", "home", "state"),
)
HOME_STATE = Metric(
    "hoonify_home_state",
    "gauge",
    "1 for the state that a home is in, 0 for all others.",
    ("model", "home", "state"),
)
HOME_STARTS = Metric(
    "hoonify_home_starts_total",
    "counter",
    "How often a home's engine has been started.",
    ("model", "home"),
)
HOME_LOAD = Metric(
    "hoonify_home_load_seconds",
    "gauge",
    "How long a home's last start took until it was ready.",
    ("model", "home"),
)
GENERATION = Metric(
    "hoonify_generation",
    "gauge",
    "Generation of the configuration that is in force.",
)
RELOADS = Metric(
    "hoonify_reloads_total",
    "counter",
    "Reloads by their result: applied, unchanged, refused (the file), failed (a new home), superseded.",
    ("result",),
)
LOOP_LAG = Metric(
    "hoonify_event_loop_lag_seconds",
    "histogram",
    "How late a gateway's event loop calls a timer.",
    ("gateway",),
    LAG_SECONDS,
)
STALLS = Metric(
    "hoonify_event_loop_stalls_total",
    "counter",
    "Times that a gateway's event loop stood still for long, by the plugin whose code ran.",
    ("plugin",),
)
PLUGIN_SECONDS = Metric(
    "hoonify_plugin_seconds_total",
    "counter",
    "Time that requests were in a middleware, its waiting included.",
    ("plugin", "phase"),
)
PLUGIN_FAILURES = Metric(
    "hoonify_plugin_failures_total",
    "counter",
    "Requests on which a middleware failed: it raised what it should not, or took too long.",
    ("plugin",),
)
PLUGIN_OFF = Metric(
    "hoonify_plugin_off",
    "gauge",
    "Gateways in which a middleware is turned off because it misbehaved.",
    ("plugin",),
)
PLUGIN_CALLS = Metric(
    "hoonify_plugin_calls_total",
    "counter",
    "Calls of a middleware.",
    ("plugin", "phase"),
)


METRICS = (
    *(REQUESTS, IN_FLIGHT, REFUSALS, ATTEMPTS, FAILOVERS),
    *(STREAM_ENDINGS, UNTRUTHFUL_STREAMS, BROKEN_ANSWERS, CANCEL),
    *(REQUEST, FIRST_TOKEN, PER_TOKEN, CALL, USED),
    *(HOME_IN_FLIGHT, HOME_QUEUED, HOME_BREAKERS, HOME_STATE, HOME_STARTS, HOME_LOAD),
    *(GENERATION, RELOADS),
    *(LOOP_LAG, STALLS, PLUGIN_SECONDS, PLUGIN_CALLS, PLUGIN_FAILURES, PLUGIN_OFF),
)
"""All of them."""


class Histogram:
    """One series of a histogram.

    Args:
        board: Where it is.
        metric: Which.
        values: Of its labels.
    """

    __slots__ = ("_bounds", "_cells")

    def __init__(self, board: Board, metric: Metric, *values: str) -> None:
        self._bounds = metric.bounds
        self._cells = board.cells(metric.describe(*values))

    def observe(self, value: float) -> None:
        """Count a value."""
        cells = self._cells
        cells[bisect_left(self._bounds, value)] += 1.0
        cells[-1] += value
