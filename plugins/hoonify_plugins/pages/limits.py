"""What is left of a key's limits in this minute."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hoonify_plugins.api_keys.record import KeyRecord
from hoonify_router.api import PluginContext
from hoonify_router.errors import RouterError

_WINDOW = 60


@dataclass(frozen=True, slots=True)
class Left:
    """One limit.

    Args:
        what: What is counted.
        limit: How much of it a minute allows.
        left: How much is left of that.
    """

    what: str
    limit: int
    left: int


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """A key's limits now.

    Args:
        per_minute: Those that are counted by the minute.
        at_once: Requests that may be under way at the same time, if that is limited.
        resets: When the next minute begins.
    """

    per_minute: tuple[Left, ...]
    at_once: int | None
    resets: str


class LimitsReader:
    """Asks the plugin that counts, where it does.

    Args:
        context: The router.
    """

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    async def of(self, record: KeyRecord) -> LiveLimits | None:
        """Return a key's limits; ``None`` where nobody counts."""
        counter: Any = self._context.middleware().get("rate_limits")
        if not hasattr(counter, "balance"):
            return None
        try:
            limits, left = await counter.balance(record.id, record.plan)
        except RouterError:
            return None
        counted = (
            ("Requests", limits.requests_per_minute, left.requests),
            ("Tokens", limits.tokens_per_minute, left.tokens),
        )
        resets = (int(time.time()) // _WINDOW + 1) * _WINDOW
        return LiveLimits(
            tuple(
                Left(what, limit, max(0, now))
                for what, limit, now in counted
                if limit and now is not None
            ),
            limits.concurrent_requests,
            datetime.fromtimestamp(resets, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
