"""Every request is counted once, under labels that no client can make grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.plugins.metrics.reading import Told

from hoonify_plugins.metrics.board import Board
from hoonify_plugins.metrics.exposition import Exposition
from hoonify_plugins.metrics.middleware import MetricsMiddleware
from hoonify_router.api import HomeCall, RequestContext, Result
from hoonify_router.errors import (
    BrokenAnswer,
    Cancelled,
    EngineDead,
    InvalidJSON,
    ModelUnavailable,
    Overloaded,
    RateLimited,
    RouterError,
    UnfinishedAnswer,
)
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
AWAY = HomeView("parrot/0", "parrot", "echo", "worker", "ready")
CHAT = ChatRequest("parrot", [Message("user", "hi")])
STREAM = ChatRequest("parrot", [Message("user", "hi")], stream=True)
WAYS = {
    "gen_ai_operation_name": "chat",
    "gen_ai_request_model": "parrot",
    "gen_ai_provider_name": "echo",
}


class Meter:
    """A middleware whose clock stands at 110 s, and what it has counted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.middleware = MetricsMiddleware(
            lambda: Board(folder), frozenset({"parrot"}), clock=lambda: 110.0
        )

    def begin(self, request: InferenceRequest | None) -> RequestContext:
        """Let a request in that came at 100 s."""
        ctx = RequestContext("r", "POST", "/v1/chat/completions", {}, "", 100.0, request=request)
        self.middleware.on_request(ctx)
        return ctx

    def count(self, request: InferenceRequest | None, **fields: Any) -> RequestContext:
        """Settle one."""
        ctx = self.begin(request)
        calls = [HomeCall(HOME, 101.0, ended=109.0, error=fields.get("error"))]
        given = {"home": HOME, "status": 200, "calls": calls, **fields}
        for name, value in given.items():
            setattr(ctx, name, value)
        self.middleware.on_finally(ctx)
        return ctx

    @property
    def told(self) -> Told:
        return Told(Exposition(self.folder).text())

    def read(self, name: str, **labels: str) -> float | None:
        return self.told.value(name, **labels)

    def labels(self, name: str) -> list[dict[str, str]]:
        return self.told.labels(name)


@pytest.fixture
def meter(tmp_path: Path) -> Meter:
    """Return a fresh one."""
    return Meter(tmp_path)


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
    assert meter.read("hoonify_attempts_total", model="parrot", home="parrot/1") == 1
    call = "gen_ai_client_operation_duration_seconds_sum"
    assert meter.read(call, **WAYS, home="parrot/1", error_type="") == 8
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


def test_failovers_name_the_home_that_failed(meter: Meter) -> None:
    """And why; each call is timed by itself."""
    calls = [
        HomeCall(AWAY, 100.0, ended=101.0, error=ModelUnavailable("gone")),
        HomeCall(HOME, 101.0, ended=104.0),
    ]
    meter.count(CHAT, calls=calls)
    meter.count(CHAT)
    meter.count(CHAT, calls=[], home=None, status=503, error=EngineDead("none"))
    assert meter.read("hoonify_attempts_total", model="parrot", home="parrot/0") == 1
    assert meter.read("hoonify_attempts_total", model="parrot", home="parrot/1") == 2
    (told,) = meter.labels("hoonify_failovers_total")
    assert told == {"model": "parrot", "home": "parrot/0", "error_type": "model_unavailable"}
    seconds = "gen_ai_client_operation_duration_seconds_sum"
    assert meter.read(seconds, **WAYS, home="parrot/0", error_type="model_unavailable") == 1
    assert meter.read(seconds, **WAYS, home="parrot/1", error_type="") == 11


@pytest.mark.parametrize(
    ("error", "first_at", "kind"),
    [
        (BrokenAnswer("x"), None, "broken"),
        (UnfinishedAnswer("x"), 102.0, "unfinished"),
        (EngineDead("x"), 102.0, "cut_off"),
        (EngineDead("x"), None, None),
        (Overloaded("x"), None, None),
    ],
)
def test_answers_that_engines_broke_are_counted_by_how(
    meter: Meter, error: RouterError, first_at: float | None, kind: str | None
) -> None:
    """One that never began was not broken."""
    call = HomeCall(HOME, 101.0, first_at=first_at, ended=109.0, error=error)
    meter.count(STREAM, error=error, status=error.status, calls=[call])
    kinds = [told["kind"] for told in meter.labels("hoonify_broken_answers_total")]
    assert kinds == ([kind] if kind else [])


@pytest.mark.parametrize("error", [RateLimited("slow down"), Overloaded("full")])
def test_refusals_for_limits_are_counted_by_code(meter: Meter, error: RouterError) -> None:
    """Whether the key is over its limit or the model is full, also where no model was asked."""
    meter.count(CHAT, status=429, error=error, calls=[])
    meter.count(None, status=429, error=error, home=None, calls=[])
    for model in ("parrot", ""):
        told = {"model": model, "code": error.code}
        assert meter.read("hoonify_rate_limit_refusals_total", **told) == 1


def test_requests_in_flight_come_back_to_zero(meter: Meter) -> None:
    """Also those whose client left, and those that were refused."""
    first, second = meter.begin(CHAT), meter.begin(STREAM)
    meter.begin(None)
    assert meter.read("hoonify_requests_in_flight", model="parrot") == 2
    second.error, second.status = Cancelled("left"), 499
    for ctx in (first, second, first):  # to settle twice is not possible, and does no harm
        meter.middleware.on_finally(ctx)
    assert meter.read("hoonify_requests_in_flight", model="parrot") == 0


def test_a_status_that_a_plugin_made_up_is_one_label(meter: Meter) -> None:
    """HTTP's own have their numbers."""
    assert Result("x", 299).status == 299
    for status in (200, 299, 298):
        meter.count(None, status=status, home=None, calls=[])
    statuses = {told["status"] for told in meter.labels("hoonify_requests_total")}
    assert statuses == {"200", "other"}


def test_there_is_always_a_number_of_untruthful_streams(meter: Meter) -> None:
    """An alarm on what is not there never rings."""
    assert meter.read("hoonify_untruthful_streams_total") == 0


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
