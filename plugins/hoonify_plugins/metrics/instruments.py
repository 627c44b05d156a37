"""What is counted and timed: every metric's name, labels and buckets, in one place.

Names follow OpenTelemetry's conventions for generative AI in Prometheus' form where there is one. Labels never
hold what a client made up.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

REQUEST_SECONDS = tuple(0.01 * 2**n for n in range(14))
FIRST_TOKEN_SECONDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08),
    *(0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
)
PER_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
TOKENS = tuple(4**n for n in range(12))
CANCEL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_OPERATION = ("gen_ai_operation_name", "gen_ai_request_model", "gen_ai_provider_name")


class Instruments:
    """The metrics of one gateway process.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "hoonify_requests",
            "Requests, by the catalog ID that was asked for, the home that answered, and how it ended.",
            ("model", "home", "status", "error_type"),
            registry=registry,
        )
        self.attempts = Counter(
            "hoonify_attempts",
            "Homes that were asked, the first and all further ones of each request.",
            ("model",),
            registry=registry,
        )
        self.failovers = Counter(
            "hoonify_failovers",
            "Homes that were asked because the one before had failed.",
            ("model",),
            registry=registry,
        )
        self.stream_endings = Counter(
            "hoonify_stream_endings",
            "Streams by their end: a finish reason, `error`, or `cancelled` when the client left.",
            ("model", "ending"),
            registry=registry,
        )
        self.cancel_seconds = Histogram(
            "hoonify_cancel_seconds",
            "From a client's disconnect until its slot at the engine was free.",
            ("model",),
            buckets=CANCEL_SECONDS,
            registry=registry,
        )
        self.request_seconds = Histogram(
            "gen_ai_server_request_duration_seconds",
            "Whole requests for a model.",
            (*_OPERATION, "error_type"),
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self.first_token_seconds = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Until the first token had come.",
            _OPERATION,
            buckets=FIRST_TOKEN_SECONDS,
            registry=registry,
        )
        self.per_token_seconds = Histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Each token after the first, on an answer's average.",
            _OPERATION,
            buckets=PER_TOKEN_SECONDS,
            registry=registry,
        )
        self.tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of a request, as the engine counted them.",
            (*_OPERATION, "gen_ai_token_type"),
            buckets=TOKENS,
            registry=registry,
        )
