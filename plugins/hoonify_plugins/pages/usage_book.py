"""What was used, read from the usage records where they are kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from hoonify_plugins.usage.record import UsageRecord
    from hoonify_plugins.usage.store import Total, UsageStore

T = TypeVar("T")

DAY = 86400
DAYS = 30


@dataclass(frozen=True, slots=True)
class Used:
    """What some keys have used lately.

    Args:
        days: Sums of each of the last ``DAYS`` days, the oldest first; also of those without requests.
        models: Sums by model, the largest first.
        keys: Sums by key id, the largest first.
    """

    days: Sequence[tuple[str, Total | None]]
    models: Sequence[Total]
    keys: Sequence[Total]

    @property
    def requests(self) -> int:
        """Return all requests."""
        return sum(one.requests for one in self.models)

    @property
    def failed(self) -> int:
        """Return those that ended with an error."""
        return sum(one.failed for one in self.models)

    @property
    def tokens(self) -> int:
        """Return all tokens."""
        return sum(map(tokens_of, self.models))

    @property
    def price(self) -> float:
        """Return what all of it costs."""
        return sum(one.price for one in self.models)


def tokens_of(total: Total) -> int:
    """Return the tokens of prompts and answers together."""
    return total.prompt_tokens + total.completion_tokens


class UsageBook:
    """Reads records in a thread of its own; the database is opened when it is first needed.

    Args:
        open_store: Opens it; ``None`` where no records are kept.
    """

    def __init__(self, open_store: Callable[[], UsageStore] | None) -> None:
        self._open_store = open_store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="usage-pages")
        self._store: UsageStore | None = None

    @property
    def is_kept(self) -> bool:
        """Return whether there are records at all."""
        return self._open_store is not None

    async def used(
        self, key_ids: Collection[str] | None = None, owner: str | None = None
    ) -> Used | None:
        """Return what keys have used lately; ``None`` where nobody knows.

        Args:
            key_ids: These keys; ``None`` is all.
            owner: Only keys of this owner.
        """
        return await self.read(lambda store: _used(store, key_ids, owner))

    async def last(
        self, count: int, *, since: float | None = None, failed: bool = False
    ) -> Sequence[UsageRecord]:
        """Return the last records of all, the newest first."""
        found = await self.read(lambda store: store.last(count, since=since, failed=failed))
        return found or ()

    async def last_of(self, model: str, count: int) -> Sequence[UsageRecord]:
        """Return the last records of a model, the newest first."""
        return await self.read(lambda store: store.last(count, model=model)) or ()

    async def read(self, work: Callable[[UsageStore], T]) -> T | None:
        """Return what ``work`` makes of the records; ``None`` where they cannot be read."""
        if self._open_store is None:
            return None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._run, self._open_store, work)

    def _run(
        self, open_store: Callable[[], UsageStore], work: Callable[[UsageStore], T]
    ) -> T | None:
        from hoonify_plugins.database.address import DatabaseError

        try:
            if self._store is None:
                self._store = open_store()
            return work(self._store)
        except DatabaseError:
            return None


def _used(store: UsageStore, key_ids: Collection[str] | None, owner: str | None) -> Used:
    today = int(time.time()) // DAY
    since = float((today - DAYS + 1) * DAY)
    by_day = {
        one.group: one for one in store.totals("day", since=since, key_id=key_ids, owner=owner)
    }
    days = [_day(number) for number in range(today - DAYS + 1, today + 1)]
    models = store.totals("model", since=since, key_id=key_ids, owner=owner)
    keys = store.totals("key", since=since, key_id=key_ids, owner=owner)
    return Used(
        [(day, by_day.get(day)) for day in days],
        sorted(models, key=_size, reverse=True),
        sorted(keys, key=_size, reverse=True),
    )


def _size(total: Total) -> tuple[int, int]:
    return tokens_of(total), total.requests


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY, UTC).strftime("%Y-%m-%d")
