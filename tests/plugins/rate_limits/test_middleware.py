"""Limits on a request's way: who passes, what is told, what it costs in the end."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hoonify_plugins.rate_limits.middleware import RateLimits
from hoonify_plugins.rate_limits.settings import Limits, Plan, RateLimitsSettings
from hoonify_plugins.rate_limits.shared_ledger import SharedLedger
from hoonify_router.api import Principal, RequestContext
from hoonify_router.errors import Cancelled, EngineDead, PermissionDenied, RateLimited
from hoonify_router.types import ChatRequest, Message, Usage

NOON = 1_800_000_000.0 - 1_800_000_000 % 60
PLANS = {
    "free": Plan(requests_per_minute=2, tokens_per_minute=1000),
    "wide": Plan(requests_per_minute=100, models={"big-*": Limits(requests_per_minute=1)}),
    "calm": Plan(concurrent_requests=1),
    "unlimited": Plan(),
}


class Clock:
    """A clock that is set by hand."""

    now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The middleware's clock."""
    return Clock()


@pytest.fixture
async def limits(tmp_path: Path, clock: Clock) -> AsyncIterator[RateLimits]:
    """The middleware, started."""
    made = RateLimits(
        RateLimitsSettings(PLANS, answer_tokens=100),
        frozenset({"small", "big-one"}),
        lambda: SharedLedger(tmp_path / "limits"),
        logging.getLogger(__name__),
        clock,
    )
    await made.startup()
    yield made
    await made.shutdown()


def asked(plan: str = "free", model: str = "small", **fields: int) -> RequestContext:
    """Return a request of a key on ``plan``."""
    ctx = RequestContext("req-1", "POST", "/v1/chat/completions", {}, "", 0.0, body=b"x" * 400)
    ctx.principal = Principal("key_" + plan, plan=plan)
    ctx.request = ChatRequest(model, [Message("user", "hi")], **fields)  # type: ignore[arg-type]
    return ctx


async def test_what_is_left_is_told_with_every_answer(limits: RateLimits) -> None:
    """Limit, remainder and the end of the window, for requests and tokens."""
    ctx = asked(max_tokens=50)
    assert limits.on_request(ctx) is None
    assert ctx.response_headers == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "2027-01-15T08:01:00Z",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "850",
        "x-ratelimit-reset-tokens": "2027-01-15T08:01:00Z",
    }


async def test_who_is_over_the_limit_is_refused_until_the_window_ends(
    limits: RateLimits, clock: Clock
) -> None:
    """With the headers, a true time to wait, and at no cost."""
    for _ in range(2):
        limits.on_request(asked())
    clock.now += 18.5
    refused = asked()
    with pytest.raises(RateLimited, match="allows 2") as caught:
        limits.on_request(refused)
    assert caught.value.retry_after == 42
    assert refused.response_headers["x-ratelimit-remaining-requests"] == "0"
    clock.now += caught.value.retry_after
    limits.on_request(asked())


async def test_tokens_are_settled_with_what_the_engine_counted(limits: RateLimits) -> None:
    """The next request sees the real use."""
    ctx = asked(max_tokens=600)
    limits.on_request(ctx)
    assert ctx.response_headers["x-ratelimit-remaining-tokens"] == "300"
    ctx.usage = Usage(90, 10)
    limits.on_finally(ctx)
    after = asked(max_tokens=1)
    limits.on_request(after)
    assert int(after.response_headers["x-ratelimit-remaining-tokens"]) > 700


@pytest.mark.parametrize(
    ("began", "error", "cost"),
    [(None, EngineDead("gone"), 0), (None, Cancelled("left"), 0), (1.0, Cancelled("left"), 100)],
)
async def test_what_nobody_counted(
    limits: RateLimits, began: float | None, error: Exception, cost: int
) -> None:
    """A request that never came to an answer costs no tokens; one that was left costs its prompt."""
    ctx = asked(max_tokens=600)
    limits.on_request(ctx)
    ctx.first_token_at, ctx.error = began, error  # type: ignore[assignment]
    limits.on_finally(ctx)
    after = asked(max_tokens=1)
    limits.on_request(after)
    assert int(after.response_headers["x-ratelimit-remaining-tokens"]) == 1000 - cost - 101


async def test_a_request_that_nobody_understands_counts_as_one(limits: RateLimits) -> None:
    """It has no tokens."""
    ctx = asked()
    ctx.request = None
    limits.on_request(ctx)
    assert ctx.response_headers["x-ratelimit-remaining-requests"] == "1"
    assert ctx.response_headers["x-ratelimit-remaining-tokens"] == "1000"


async def test_models_may_have_limits_of_their_own(limits: RateLimits) -> None:
    """Beside those of the plan; the headers tell the plan's."""
    first = asked("wide", "big-one")
    limits.on_request(first)
    with pytest.raises(RateLimited, match="allows 1"):
        limits.on_request(asked("wide", "big-one"))
    other = asked("wide", "small")
    limits.on_request(other)
    assert other.response_headers["x-ratelimit-remaining-requests"] == "98"


async def test_requests_at_the_same_time(limits: RateLimits) -> None:
    """One that ends, however it does, makes room for the next."""
    first = asked("calm")
    limits.on_request(first)
    with pytest.raises(RateLimited, match="at the same time"):
        limits.on_request(asked("calm"))
    limits.on_finally(first)
    limits.on_request(asked("calm"))


async def test_a_plan_without_limits(limits: RateLimits) -> None:
    """There is nothing to count and nothing to tell."""
    ctx = asked("unlimited")
    limits.on_request(ctx)
    assert not ctx.response_headers
    assert limits.on_finally(ctx) is None


async def test_a_plan_that_is_not_set_up(limits: RateLimits) -> None:
    """Nobody guesses its limits."""
    with pytest.raises(PermissionDenied, match="'gold'"):
        limits.on_request(asked("gold"))


async def test_without_keys_nothing_is_counted(limits: RateLimits) -> None:
    """There is no one to count for."""
    ctx = asked()
    ctx.principal = None
    assert limits.on_request(ctx) is None
    assert not ctx.response_headers


async def test_models_that_do_not_exist_take_no_memory(limits: RateLimits) -> None:
    """A client cannot fill it with names."""
    for number in range(50):
        limits.on_request(asked("unlimited", f"no-{number}"))
    assert not limits._charges
