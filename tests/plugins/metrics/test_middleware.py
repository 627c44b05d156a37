"""Every request is counted once, under labels that no client can make grow."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from hoonify_plugins.metrics.instruments import Instruments
from hoonify_plugins.metrics.middleware import MetricsMiddleware
from hoonify_router.api import RequestContext
from hoonify_router.errors import Cancelled, EngineDead, InvalidJSON, RouterError
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    HomeView,
    InferenceRequest,
    Message,
    Usage,
)

HOME = HomeView("parrot/1", "parrot", "echo", "worker", "ready")
CHAT = ChatRequest("parrot", [Message("user", "hi")])
STREAM = ChatRequest("parrot", [Message("user", "hi")], stream=True)
WAYS = {
    "gen_ai_operation_name": "chat",
    "gen_ai_request_model": "parrot",
    "gen_ai_provider_name": "echo",
}


class Meter:
    """A middleware whose clock stands at 110 s, and what it has counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        instruments = Instruments(self.registry)
        self.middleware = MetricsMiddleware(instruments, frozenset({"parrot"}), lambda: 110.0)

    def count(self, request: InferenceRequest | None, **fields: Any) -> RequestContext:
        """Settle a request that began at 100 s."""
        ctx = RequestContext("r", "POST", "/v1/chat/completions", {}, "", 100.0, request=request)
        for name, value in {"home": HOME, "status": 200, "attempts": 1, **fields}.items():
            setattr(ctx, name, value)
        self.middleware.on_finally(ctx)
        return ctx

    def read(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def labels(self, name: str) -> list[dict[str, str]]:
        return [s.labels for m in self.registry.collect() for s in m.samples if s.name == name]


@pytest.fixture
def meter() -> Meter:
    """Return a fresh one."""
    return Meter()


def test_a_good_answer_is_counted_and_timed(meter: Meter) -> None:
    """Duration, first token, each further token, tokens of both kinds."""
    meter.count(CHAT, usage=Usage(30, 11), first_token_at=100.5, finish_reason="stop")
    told = {"model": "parrot", "home": "parrot/1", "status": "200", "error_type": ""}
    assert meter.read("hoonify_requests_total", **told) == 1
    seconds = "gen_ai_server_request_duration_seconds"
    assert meter.read(f"{seconds}_sum", **WAYS, error_type="") == 10
    assert meter.read("gen_ai_server_time_to_first_token_seconds_sum", **WAYS) == 0.5
    assert meter.read("gen_ai_server_time_per_output_token_seconds_sum", **WAYS) == 0.95
    tokens = "gen_ai_client_token_usage_sum"
    assert meter.read(tokens, **WAYS, gen_ai_token_type="input") == 30
    assert meter.read(tokens, **WAYS, gen_ai_token_type="output") == 11
    assert meter.read("hoonify_attempts_total", model="parrot") == 1
    assert meter.labels("hoonify_failovers_total") == []
    assert meter.labels("hoonify_stream_endings_total") == []


@pytest.mark.parametrize(
    ("request_", "operation"),
    [
        (CompletionRequest("parrot", "a"), "text_completion"),
        (EmbeddingRequest("parrot", "a"), "embeddings"),
    ],
)
def test_operations_have_their_conventional_names(
    meter: Meter, request_: InferenceRequest, operation: str
) -> None:
    """A vector is no token."""
    meter.count(request_, usage=Usage(3), first_token_at=101.0)
    (told,) = meter.labels("gen_ai_server_request_duration_seconds_sum")
    assert told["gen_ai_operation_name"] == operation
    first = meter.labels("gen_ai_server_time_to_first_token_seconds_sum")
    assert bool(first) is (operation != "embeddings")


def test_names_that_clients_make_up_are_one_label(meter: Meter) -> None:
    """However many there are."""
    for number in range(100):
        meter.count(
            ChatRequest(f"made-up-{number}", []), home=None, status=404, error=EngineDead("no")
        )
    assert {told["model"] for told in meter.labels("hoonify_requests_total")} == {"other"}
    assert len(meter.labels("gen_ai_server_request_duration_seconds_sum")) == 1


def test_what_has_no_model_is_counted_as_a_request_only(meter: Meter) -> None:
    """Reads, and bodies that nobody understands."""
    meter.count(None, home=None)
    meter.count(None, home=None, status=400, error=InvalidJSON("no"))
    statuses = {(t["model"], t["status"]) for t in meter.labels("hoonify_requests_total")}
    assert statuses == {("", "200"), ("", "400")}
    assert meter.labels("gen_ai_server_request_duration_seconds_sum") == []


def test_failovers_are_the_homes_after_the_first(meter: Meter) -> None:
    """Three homes asked are two failovers."""
    meter.count(CHAT, attempts=3)
    meter.count(CHAT, attempts=1)
    meter.count(CHAT, attempts=0, home=None, status=503, error=EngineDead("none"))
    assert meter.read("hoonify_attempts_total", model="parrot") == 4
    assert meter.read("hoonify_failovers_total", model="parrot") == 2


@pytest.mark.parametrize(
    ("status", "error", "reason", "ending"),
    [
        (200, None, "tool_calls", "tool_calls"),
        (200, EngineDead("gone"), None, "error"),
        (200, Cancelled("left"), None, "cancelled"),
        (499, Cancelled("left"), None, "cancelled"),
        (503, EngineDead("gone"), None, None),
    ],
)
def test_streams_are_counted_by_their_end(
    meter: Meter, status: int, error: RouterError | None, reason: str | None, ending: str | None
) -> None:
    """An error with a status of its own was never a stream."""
    meter.count(STREAM, status=status, error=error, finish_reason=reason)
    told = [labels["ending"] for labels in meter.labels("hoonify_stream_endings_total")]
    assert told == ([ending] if ending else [])


def test_cancellations_are_timed(meter: Meter) -> None:
    """From 1 ms to 10 s, with a bucket that ends at the promised 100 ms."""
    ctx = meter.count(STREAM, status=499, error=Cancelled("left"))
    for seconds in (0.0005, 0.09, 3.0, 60.0):
        meter.middleware.on_released(ctx, seconds)
    bucket = "hoonify_cancel_seconds_bucket"
    limits = [told["le"] for told in meter.labels(bucket)]
    assert (limits[0], limits[-2], limits[-1]) == ("0.001", "10.0", "+Inf")
    assert meter.read(bucket, model="parrot", le="0.1") == 2
    assert meter.read("hoonify_cancel_seconds_count", model="parrot") == 4
