"""Counts in a real Redis: exact across machines, honest while it is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tests.servers import Redis, redis

from hoonify_plugins.rate_limits import redis_ledger
from hoonify_plugins.rate_limits.ledger import Charge, scope_tag
from hoonify_plugins.rate_limits.redis_ledger import LimitsUnavailable, RedisLedger
from hoonify_plugins.rate_limits.settings import Limits

log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    """A Redis of our own, on a unix socket."""
    with redis() as started:
        yield started


@asynccontextmanager
async def ledgers(
    server: Any, count: int = 1, when_away: Any = "fail_open"
) -> AsyncIterator[list[RedisLedger]]:
    """Ledgers of several gateways on an empty Redis."""
    with mock.patch.object(redis_ledger, "_TIMEOUT", 30.0):  # a busy machine is no dead Redis
        made = [RedisLedger(server.url, when_away, log) for _ in range(count)]
    await made[0]._redis.flushall()
    try:
        yield made
    finally:
        for one in made:
            one.close()
            await one._closing


def charge(key: str = "key_1", **limits: int) -> Charge:
    """Return a charge of one key."""
    return Charge(scope_tag(key), Limits(**limits))


async def settle_in_one_window(ledger: RedisLedger) -> None:
    """Wait out the last seconds of a minute: what follows must not be cut by its end."""
    seconds, _ = await ledger._redis.time()
    if seconds % 60 > 50:
        await asyncio.sleep(60 - seconds % 60)


async def test_requests_and_tokens_pass_up_to_the_limit(server: Any) -> None:
    """The same verdicts as in memory."""
    async with ledgers(server) as (ledger,):
        await settle_in_one_window(ledger)
        charges = [charge(requests_per_minute=2, tokens_per_minute=100)]
        first = await ledger.admit(charges, 80, 0)
        assert (first.refused_by, first.left.requests, first.left.tokens) == (None, 1, 20)
        assert (await ledger.admit(charges, 30, 0)).refused_by == "tokens"
        await ledger.settle(charges, first.window, 80, 10, 0)
        second = await ledger.admit(charges, 30, 0)
        assert (second.left.requests, second.left.tokens) == (0, 60)
        refused = await ledger.admit(charges, 1, 0)
        assert (refused.refused_by, refused.left.requests) == ("requests", 0)


async def test_all_charges_or_none(server: Any) -> None:
    """A request that one set of limits refuses costs nothing with the others."""
    async with ledgers(server) as (ledger,):
        await settle_in_one_window(ledger)
        wide = charge("a", requests_per_minute=10)
        narrow = Charge(scope_tag("a", "model"), Limits(requests_per_minute=1))
        assert (await ledger.admit([wide, narrow], 0, 0)).left.requests == 9
        refused = await ledger.admit([wide, narrow], 0, 0)
        assert (refused.refused_by, refused.charge, refused.left.requests) == ("requests", 1, 9)


async def test_many_gateways_count_exactly(server: Any) -> None:
    """However many ask at the same time, the limit is met and never passed."""
    async with ledgers(server, 4) as gateways:
        await settle_in_one_window(gateways[0])
        charges = [charge(requests_per_minute=100)]
        asked = [gateway.admit(charges, 1, 0) for gateway in gateways for _ in range(50)]
        verdicts = await asyncio.gather(*asked)
        left = sorted(v.left.requests for v in verdicts if v.refused_by is None)
        assert left == list(range(100))


async def test_requests_under_way_of_a_dead_gateway_do_not_count(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its slots are free once it has been silent."""
    async with ledgers(server, 2) as (dead, living):
        charges = [charge(concurrent_requests=1)]
        await dead.admit(charges, 0, 0)
        assert (await living.admit(charges, 0, 0)).refused_by == "concurrent"
        await living._redis.delete(f"{redis_ledger.PREFIX}:alive:{dead._me}")
        verdict = await living.admit(charges, 0, 0)
        assert verdict.refused_by is None
        await living.settle(charges, verdict.window, 0, 0, 0)
        assert (await living.admit(charges, 0, 0)).refused_by is None


@pytest.mark.parametrize("when_away", ["fail_open", "fail_closed"])
async def test_while_redis_is_away(
    tmp_path: Path, when_away: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The operator's choice counts; it is said once, and counted."""
    ledger = RedisLedger(f"unix://{tmp_path}/nobody", when_away, log)
    charges = [charge(requests_per_minute=1)]
    for _ in range(3):
        if when_away == "fail_closed":
            with pytest.raises(LimitsUnavailable):
                await ledger.admit(charges, 0, 0)
        else:
            verdict = await ledger.admit(charges, 0, 0)
            assert verdict.refused_by is None
            await ledger.settle(charges, verdict.window, 0, 0, 0)
    ledger.close()
    await ledger._closing
    assert ledger.passed_uncounted + ledger.refused_uncounted == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert str(tmp_path) not in caplog.text
