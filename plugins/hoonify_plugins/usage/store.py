"""Usage records in the database: put in many at once, asked for in sums."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Integer, cast, func, select

from hoonify_plugins.database.opening import Database
from hoonify_plugins.database.tables import usage_records as usage
from hoonify_plugins.usage.insertion import (
    UnfitRecord,
    hold,
    insert_rows,
    mended,
    move,
    place_of,
)
from hoonify_plugins.usage.reading import Reading
from hoonify_plugins.usage.record import UsageRecord

Grouping = Literal["key", "model", "day"]
_DAY = 86400
_FIELDS = UsageRecord.__struct_fields__


@dataclass(frozen=True, slots=True)
class Total:
    """What requests came to.

    Args:
        group: The key's id, the model or the day (``2026-11-23``), as was asked.
        requests: How many there were.
        failed: How many of them ended with an error.
        prompt_tokens: And so on, as engines counted them.
        price: In the currency of the catalog.
    """

    group: str
    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    price: float


class UsageStore:
    """Records in the database.

    Args:
        url: SQLAlchemy's URL of it.

    Raises:
        DatabaseError: It cannot be opened; any method raises it when it cannot do its work.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def place_of(self, journal: str) -> int:
        """Return the place in a journal up to which its records are here."""
        with self._database.read() as connection:
            return place_of(connection, journal)

    def take_over(self, readings: Sequence[Reading]) -> dict[str, int]:
        """Keep what was read in journals, for good when this returns, and each record once.

        What somebody else has taken over meanwhile is left as it is.

        Returns:
            Up to which place the records of these journals are here now.
        """
        try:
            return self._take_over(readings)
        except (
            UnfitRecord
        ):  # an engine has counted more than any has, or said more than there is room for
            return self._take_over(
                [replace(each, rows=[mended(row) for row in each.rows]) for each in readings]
            )

    def _take_over(self, readings: Sequence[Reading]) -> dict[str, int]:
        reached: dict[str, int] = {}
        with self._database.write() as connection:
            for reading in sorted(readings, key=lambda each: each.journal):
                place = hold(connection, reading.journal)
                if place == reading.since:
                    insert_rows(connection, reading.rows)
                    move(connection, reading.journal, place := reading.place)
                reached[reading.journal] = place
        return reached

    def add(self, records: Iterable[UsageRecord]) -> None:
        """Keep records that stood in no journal."""
        with self._database.write() as connection:
            insert_rows(connection, [record.row() for record in records])

    def totals(
        self,
        by: Grouping,
        *,
        since: float | None = None,
        until: float | None = None,
        key_id: str | Collection[str] | None = None,
        owner: str | None = None,
    ) -> list[Total]:
        """Return sums by key, model or day, in their order.

        Args:
            by: What to add up by.
            since: From when on, in Unix seconds.
            until: Until before when.
            key_id: Of this key only, or of these.
            owner: Of keys of this owner only.
        """
        group: ColumnElement[Any] = {
            "key": usage.c.key_id,
            "model": usage.c.model,
            "day": cast(func.floor(usage.c.at / _DAY), Integer),
        }[by]
        sums = [
            func.sum(usage.c[name])
            for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
        ]
        failed = func.sum(cast(usage.c.error != "", Integer))
        asked = select(group, func.count(), failed, *sums, func.sum(usage.c.price))
        if since is not None:
            asked = asked.where(usage.c.at >= since)
        if until is not None:
            asked = asked.where(usage.c.at < until)
        if key_id is not None:
            keys = [key_id] if isinstance(key_id, str) else list(key_id)
            asked = asked.where(usage.c.key_id.in_(keys))
        if owner is not None:
            asked = asked.where(usage.c.owner == owner)
        with self._database.read() as connection:
            rows = connection.execute(asked.group_by(group).order_by(group)).all()
        return [_total(_day(row[0]) if by == "day" else str(row[0]), row[1:]) for row in rows]

    def last(
        self,
        count: int,
        *,
        model: str | None = None,
        key_id: str | None = None,
        since: float | None = None,
        failed: bool = False,
    ) -> list[UsageRecord]:
        """Return the last records, the newest first.

        Args:
            count: How many at most.
            model: Of this model only.
            key_id: Of this key only.
            since: From when on, in Unix seconds.
            failed: Only those that ended with an error.
        """
        asked = (
            select(*(usage.c[name] for name in _FIELDS)).order_by(usage.c.at.desc()).limit(count)
        )
        if model is not None:
            asked = asked.where(usage.c.model == model)
        if key_id is not None:
            asked = asked.where(usage.c.key_id == key_id)
        if since is not None:
            asked = asked.where(usage.c.at >= since)
        if failed:
            asked = asked.where(usage.c.error != "")
        with self._database.read() as connection:
            return [_record(row._mapping) for row in connection.execute(asked)]

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _total(group: str, sums: Sequence[Any]) -> Total:
    requests, failed, prompt, completion, cached, reasoning = map(int, sums[:-1])
    return Total(
        group, requests, failed, prompt, completion, cached, reasoning, price=float(sums[-1])
    )


def _record(row: Mapping[Any, Any]) -> UsageRecord:
    values = dict(row)
    return UsageRecord(
        **values | {"streamed": bool(values["streamed"]), "price": float(values["price"])}
    )


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * _DAY, UTC).strftime("%Y-%m-%d")
