"""Put usage records into the database: as quickly as it knows how to, and each once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Connection, Float, Integer, Numeric, String, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError

from hoonify_plugins.database.address import DatabaseError
from hoonify_plugins.database.tables import usage_journals as journals
from hoonify_plugins.database.tables import usage_records
from hoonify_plugins.usage.record import Row, UsageRecord

_FIELDS = UsageRecord.__struct_fields__
_KINDS = [usage_records.c[name].type for name in _FIELDS]
_NAMES = ", ".join(_FIELDS)
_COPY = f"COPY usage_records ({_NAMES}) FROM STDIN"
_INSERT = f"INSERT INTO usage_records ({_NAMES}) VALUES ({', '.join('?' * len(_FIELDS))})"
_MOST = 2**63 - 1
_DEAREST = 999_999_999.0


class UnfitRecord(DatabaseError):
    """A record does not fit into the table."""


def hold(connection: Connection, journal: str) -> int:
    """Let nobody else take over records of this journal until the end of the transaction; return its place."""
    held = select(journals.c.place).where(journals.c.journal == journal).with_for_update()
    place = connection.execute(held).scalar_one_or_none()
    if place is None:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        new = insert(journals).values(journal=journal, place=0)
        connection.execute(new.on_conflict_do_nothing())
        place = connection.execute(held).scalar_one()
    return int(place)


def place_of(connection: Connection, journal: str) -> int:
    """Return the place in a journal up to which its records are here."""
    place = select(journals.c.place).where(journals.c.journal == journal)
    return connection.execute(place).scalar_one_or_none() or 0


def move(connection: Connection, journal: str, place: int) -> None:
    """Write down that they are here up to this place."""
    connection.execute(update(journals).where(journals.c.journal == journal).values(place=place))


def insert_rows(connection: Connection, rows: Sequence[Row]) -> None:
    """Put records in.

    Raises:
        UnfitRecord: One does not fit into the table.
    """
    try:
        if connection.dialect.name == "postgresql":
            _copy(connection, rows)
        else:
            connection.exec_driver_sql(_INSERT, rows)
    except (OverflowError, DataError) as error:
        raise UnfitRecord(f"a usage record does not fit into the database: {error}") from error


def _copy(connection: Connection, rows: Sequence[Row]) -> None:
    driver: Any = connection.dialect.loaded_dbapi
    cursor: Any = connection.connection.cursor()
    try:
        with cursor, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)
    except driver.DataError as error:
        raise DataError(_COPY, None, error) from error
    except driver.Error as error:
        raise DBAPIError(_COPY, None, error) from error


def mended(row: Row) -> Row:
    """Return a record as it fits into the table: texts cut, numbers as large as they may be."""
    return cast("Row", tuple(map(_fitting, row, _KINDS)))


def _fitting(value: Any, kind: Any) -> Any:
    if isinstance(kind, String):
        return value.replace("\0", "")[: kind.length]
    if isinstance(kind, Integer):
        return max(-_MOST, min(value, _MOST))
    if isinstance(kind, Numeric) and not isinstance(kind, Float):
        return max(-_DEAREST, min(value, _DEAREST))
    return value
