"""How fast models answered lately, from the usage records where they are kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING

from hoonify_plugins.pages.usage_book import UsageBook

if TYPE_CHECKING:
    from hoonify_plugins.usage.record import UsageRecord

_KEPT = 5.0
_MOST = 256
_RECORDS = 100


@dataclass(frozen=True, slots=True)
class Latency:
    """How fast a model was.

    Args:
        requests: Answers that this is made of.
        first_token: Median seconds to the first token, and those that only one in twenty passes.
        first_token_p95: The latter.
        per_token: Median seconds between two tokens.
        speed: Tokens per second of one answer, the median.
        duration: Median seconds of a whole answer.
    """

    requests: int
    first_token: float | None = None
    first_token_p95: float | None = None
    per_token: float | None = None
    speed: float | None = None
    duration: float | None = None


class LatencyReader:
    """Reads the last records of a model; what it found is good for a few seconds.

    Args:
        book: The usage records.
    """

    def __init__(self, book: UsageBook) -> None:
        self._book = book
        self._known: dict[str, tuple[float, Latency | None]] = {}

    async def recent(self, model: str) -> Latency | None:
        """Return how fast a model was in its last answers; ``None`` where nobody knows."""
        until, known = self._known.get(model, (0.0, None))
        if time.monotonic() < until:
            return known
        found = summary(await self._book.last_of(model, _RECORDS))
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[model] = (time.monotonic() + _KEPT, found)
        return found


def summary(records: Sequence[UsageRecord]) -> Latency | None:
    """Return what records say of speed; failed requests say nothing."""
    good = [one for one in records if not one.error]
    if not good:
        return None
    first = sorted(one.first_token for one in good if one.first_token is not None)
    gaps = sorted(
        (one.duration - one.first_token) / (one.completion_tokens - 1)
        for one in good
        if one.first_token is not None and one.completion_tokens > 1
    )
    per_token = _middle(gaps)
    return Latency(
        len(good),
        _middle(first),
        quantiles(first, n=20)[-1] if len(first) > 1 else _middle(first),
        per_token,
        1 / per_token if per_token else None,
        _middle(sorted(one.duration for one in good)),
    )


def _middle(values: Sequence[float]) -> float | None:
    return values[len(values) // 2] if values else None
