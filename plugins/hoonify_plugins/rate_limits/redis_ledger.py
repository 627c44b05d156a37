"""Counts in Redis, exact across machines: each request is admitted by one script, in one step.

The clock is Redis's own, so that machines whose clocks differ share their windows. Requests under way are counted
per gateway process; a gateway says at intervals that it lives, and the counts of one that does not are not
counted any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Sequence
from typing import Any, Literal

from hoonify_plugins.rate_limits.ledger import WINDOW, Balance, Charge, LimitName, Verdict
from hoonify_router.errors import ModelUnavailable

PREFIX = "hoonify:limits"
_TIMEOUT = 0.25  # seconds for one step; a request waits for it
_PAUSE = 1.0  # after a failure Redis is left alone for so long
_LIFE = 15  # seconds after which a silent gateway is taken for dead
_BEAT = 5.0
_FORGET = 2 * WINDOW

_FIND_WINDOW = f"""
local window = math.floor(tonumber(redis.call('TIME')[1]) / {WINDOW})
local function counts(key)
  local held = redis.call('HMGET', key, 'window', 'requests', 'tokens')
  if tonumber(held[1]) ~= window then return 0, 0 end
  return tonumber(held[2]), tonumber(held[3])
end
"""

ADMIT = f"""{_FIND_WINDOW}
local tokens, me = tonumber(ARGV[1]), ARGV[2]
local left_requests, left_tokens, refused, charge = -1, -1, '', 0
local before = {{}}
for i = 1, #KEYS / 2 do
  local requests, used = counts(KEYS[2 * i - 1])
  local rpm, tpm, most = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  before[i] = {{requests, used}}
  if i == 1 then
    if rpm >= 0 then left_requests = math.max(0, rpm - requests) end
    if tpm >= 0 then left_tokens = math.max(0, tpm - used) end
  end
  if refused == '' then
    if rpm >= 0 and requests >= rpm then refused = 'requests'
    elseif tpm >= 0 and used + math.min(tokens, tpm) > tpm then refused = 'tokens'
    elseif most >= 0 then
      local under_way, held = 0, redis.call('HGETALL', KEYS[2 * i])
      for j = 1, #held, 2 do
        if held[j] == me or redis.call('EXISTS', '{PREFIX}:alive:' .. held[j]) == 1 then
          under_way = under_way + tonumber(held[j + 1])
        else
          redis.call('HDEL', KEYS[2 * i], held[j])
        end
      end
      if under_way >= most then refused = 'concurrent' end
    end
    charge = i - 1
  end
end
if refused ~= '' then return {{window, left_requests, left_tokens, refused, charge}} end
for i = 1, #KEYS / 2 do
  local key = KEYS[2 * i - 1]
  redis.call('HSET', key, 'window', window, 'requests', before[i][1] + 1, 'tokens', before[i][2] + tokens)
  redis.call('EXPIRE', key, {_FORGET})
  if tonumber(ARGV[3 * i + 2]) >= 0 then redis.call('HINCRBY', KEYS[2 * i], me, 1) end
end
if left_requests > 0 then left_requests = left_requests - 1 end
if left_tokens >= 0 then left_tokens = math.max(0, left_tokens - tokens) end
return {{window, left_requests, left_tokens, '', 0}}
"""

SETTLE = f"""{_FIND_WINDOW}
local then_, reserved, used, me = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local more = used - reserved
if then_ ~= window then more = math.max(0, more) end
for i = 1, #KEYS / 2 do
  local key = KEYS[2 * i - 1]
  if more ~= 0 then
    local requests, tokens = counts(key)
    redis.call('HSET', key, 'window', window, 'requests', requests, 'tokens', math.max(0, tokens + more))
    redis.call('EXPIRE', key, {_FORGET})
  end
  if tonumber(ARGV[4 + i]) >= 0 then
    if redis.call('HINCRBY', KEYS[2 * i], me, -1) <= 0 then redis.call('HDEL', KEYS[2 * i], me) end
  end
end
return window
"""


class LimitsUnavailable(ModelUnavailable):
    """Limits cannot be checked, and the operator wants no request to pass unchecked."""

    code = "rate_limits_unavailable"


class RedisLedger:
    """Counts in Redis.

    Args:
        url: Where it is: ``redis://…``, ``rediss://…`` or ``unix://…``.
        when_away: What becomes of requests while it cannot be reached.
        log: Where trouble is told; never the URL, which may hold a password.
    """

    def __init__(
        self, url: str, when_away: Literal["fail_open", "fail_closed"], log: logging.Logger
    ) -> None:
        from redis.asyncio import Redis

        self._redis: Any = Redis.from_url(
            url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT, max_connections=64
        )
        self._admit = self._redis.register_script(ADMIT)
        self._settle = self._redis.register_script(SETTLE)
        self._open = when_away == "fail_open"
        self._log = log
        self._me = secrets.token_hex(8)
        self._away_until = 0.0
        self._away = False
        self._beating: asyncio.Task[None] | None = None
        self.passed_uncounted = 0
        self.refused_uncounted = 0

    @property
    def uncounted(self) -> tuple[int, int]:
        """Return how many requests have passed, and how many were refused, while Redis was away."""
        return self.passed_uncounted, self.refused_uncounted

    async def admit(self, charges: Sequence[Charge], tokens: int, now: float) -> Verdict:
        """Reserve one request and ``tokens`` with every charge, or with none of them.

        Raises:
            LimitsUnavailable: Redis is away, and nothing may pass unchecked.
        """
        if self._beating is None:
            await self._beat_once()
            self._beating = asyncio.create_task(self._beat(), name="tell Redis of this gateway")
        limits = [number for charge in charges for number in _numbers(charge)]
        told = await self._run(self._admit, _keys(charges), [tokens, self._me, *limits])
        if told is None:
            return self._verdict_of_nobody(now)
        window, requests, left_tokens, refused, charge = told
        name: LimitName | None = refused.decode() or None
        return Verdict(
            int(window), Balance(_or_none(requests), _or_none(left_tokens)), name, int(charge)
        )

    async def settle(
        self, charges: Sequence[Charge], window: int, reserved: int, used: int, now: float
    ) -> None:
        """Replace a reservation by what was used, and end the request's time under way."""
        if window < 0:  # nobody has counted it
            return
        concurrent = [_number(charge.limits.concurrent_requests) for charge in charges]
        await self._run(
            self._settle, _keys(charges), [window, reserved, used, self._me, *concurrent]
        )

    def close(self) -> None:
        """Give everything back."""
        if self._beating is not None:
            self._beating.cancel()
        self._closing = asyncio.ensure_future(self._redis.aclose())

    def _verdict_of_nobody(self, now: float) -> Verdict:
        if not self._open:
            self.refused_uncounted += 1
            raise LimitsUnavailable("Rate limits cannot be checked at the moment.", retry_after=1)
        self.passed_uncounted += 1
        return Verdict(-1, Balance())

    async def _run(self, script: Any, keys: list[str], arguments: list[Any]) -> Any:
        """Return what a script says, or ``None`` while Redis is away."""
        from redis.exceptions import RedisError

        if time.monotonic() < self._away_until:
            return None
        try:
            told = await script(keys=keys, args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + _PAUSE
            if not self._away:
                what = "requests pass uncounted" if self._open else "requests are refused"
                self._log.error("Redis cannot be reached (%s): %s", type(error).__name__, what)
            self._away = True
            return None
        if self._away:
            self._away = False
            self._log.warning("Redis can be reached again")
        return told

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT)
            await self._beat_once()

    async def _beat_once(self) -> None:
        from redis.exceptions import RedisError

        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await self._redis.set(f"{PREFIX}:alive:{self._me}", 1, ex=_LIFE)


def _keys(charges: Sequence[Charge]) -> list[str]:
    keys = []
    for charge in charges:
        tag = charge.tag.hex()
        keys += [f"{PREFIX}:counts:{tag}", f"{PREFIX}:under-way:{tag}"]
    return keys


def _numbers(charge: Charge) -> list[int]:
    limits = charge.limits
    return [
        _number(limits.requests_per_minute),
        _number(limits.tokens_per_minute),
        _number(limits.concurrent_requests),
    ]


def _number(limit: int | None) -> int:
    return -1 if limit is None else limit


def _or_none(left: int) -> int | None:
    return None if left < 0 else int(left)
