"""Limits on a request's way: who passes, what is told, what it costs in the end."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hoonify_plugins.rate_limits.middleware import RateLimits
from hoonify_plugins.rate_limits.settings import Limits, Plan, RateLimitsSettings
from hoonify_plugins.rate_limits.shared_ledger import SharedLedger
from hoonify_router.api import LoadedConfig, PluginContext, Principal, RequestContext
from hoonify_router.config.model import Config
from hoonify_router.errors import PermissionDenied, RateLimited
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
        {"small": 4096, "big-one": 4096},
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
    ctx.prompt_estimate = 100
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


async def test_a_request_that_came_to_nothing_costs_no_tokens(limits: RateLimits) -> None:
    """All that was reserved is given back."""
    ctx = asked(max_tokens=600)
    limits.on_request(ctx)
    limits.on_finally(ctx)
    after = asked(max_tokens=1)
    limits.on_request(after)
    assert int(after.response_headers["x-ratelimit-remaining-tokens"]) == 1000 - 101


@pytest.mark.parametrize("limit", [-(10**9), 10**30])
async def test_a_senseless_limit_reserves_no_nonsense(limits: RateLimits, limit: int) -> None:
    """Values are checked after the limits: neither does one make room for others, nor break the counting."""
    first = asked(max_tokens=limit)
    limits.on_request(first)
    assert int(first.response_headers["x-ratelimit-remaining-tokens"]) <= 900
    limits.on_finally(first)
    limits.on_request(after := asked(max_tokens=1))
    assert after.response_headers["x-ratelimit-remaining-tokens"] == "899"


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


async def test_plans_change_while_it_runs(limits: RateLimits) -> None:
    """What a key has used in this minute still counts against its new limits."""
    limits.on_request(asked())
    loaded = LoadedConfig(Path("router.yaml"), Config(models={}), Path("var"))
    context = PluginContext(loaded, logging.getLogger(__name__))
    tighter = {"free": Plan(requests_per_minute=1)}
    limits.reload(RateLimitsSettings(tighter), context)
    with pytest.raises(RateLimited):
        limits.on_request(asked())
    with pytest.raises(PermissionDenied):
        limits.on_request(asked("calm"))
