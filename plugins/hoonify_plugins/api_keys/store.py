"""Keys in the database."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, bindparam, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from hoonify_plugins.api_keys.record import KeyRecord, KeyStore, StoreError, StoreReplaced
from hoonify_plugins.api_keys.settings import APIKeysSettings
from hoonify_plugins.database.address import DatabaseError, database_url
from hoonify_plugins.database.opening import Database
from hoonify_plugins.database.tables import api_keys, key_changes
from hoonify_router.api import LoadedConfig

_FIELDS = (
    "id",
    "name",
    "plan",
    "digest",
    "created",
    "expires",
    "revoked",
    "models",
    "owner",
    "scopes",
    "notes",
    "used",
    "successor",
)
_LISTS = ("models", "scopes")
_COLUMNS = [api_keys.c[name] for name in _FIELDS]


def open_store(settings: APIKeysSettings, loaded: LoadedConfig) -> KeyStore:
    """Open the store that the settings name; it is made if there is none.

    Raises:
        StoreError: It cannot be opened.
    """
    return DatabaseKeyStore(database_url(settings.store, loaded))


class DatabaseKeyStore:
    """A ``KeyStore`` in the database.

    Args:
        url: SQLAlchemy's URL of it.

    Raises:
        StoreError: It cannot be opened or made.
    """

    def __init__(self, url: str) -> None:
        with _as_store_error():
            self._database = Database(url)
        file = self._database.file
        self._file = None if file is None else os.stat(file)

    def add(self, record: KeyRecord) -> None:
        """Keep a new key."""
        with _as_store_error(), self._database.write() as connection:
            try:
                _insert(connection, record)
            except IntegrityError as error:
                raise StoreError("this key is there already") from error

    def add_first(self, record: KeyRecord) -> bool:
        """Keep it only if there has never been a key."""
        with _as_store_error(), self._database.write() as connection:
            if _any(connection):
                return False
            number = _next_change(connection)  # from here on nobody else writes
            if _any(connection):
                return False
            connection.execute(insert(api_keys).values(**_values(record), changed=number))
            return True

    def all(self) -> list[KeyRecord]:
        """Return every key, the oldest first."""
        with _as_store_error(), self._database.read() as connection:
            rows = connection.execute(
                select(*_COLUMNS).order_by(api_keys.c.created, api_keys.c.changed)
            )
            return [_record(row) for row in rows]

    def find(self, key_id: str) -> KeyRecord | None:
        """Return the key with this id, if there is one."""
        with _as_store_error(), self._database.read() as connection:
            return _find(connection, key_id)

    def revoke(self, key_id: str, now: int) -> KeyRecord | None:
        """Revoke a key for good; one that is revoked already keeps its time."""
        with _as_store_error(), self._database.write() as connection:
            record = _find(connection, key_id)
            if record is None or record.revoked is not None:
                return record
            connection.execute(
                update(api_keys)
                .where(api_keys.c.id == key_id, api_keys.c.revoked.is_(None))
                .values(revoked=now, changed=_next_change(connection))
            )
            return _find(connection, key_id)

    def rotate(self, key_id: str, successor: KeyRecord, until: int) -> KeyRecord | None:
        """Keep a successor, and let the key with this id end at ``until`` at the latest."""
        with _as_store_error(), self._database.write() as connection:
            number = _next_change(connection)
            old = _find(connection, key_id)
            if old is None or old.state(time.time()) != "active":
                return None
            expires = until if old.expires is None else min(old.expires, until)
            connection.execute(
                update(api_keys)
                .where(api_keys.c.id == key_id)
                .values(expires=expires, successor=successor.id, changed=number)
            )
            _insert(connection, successor)
            return replace(old, expires=expires, successor=successor.id)

    def mark_used(self, times: Mapping[str, int]) -> None:
        """Note when keys were last used; an older time than the one that is known changes nothing."""
        if not times:
            return
        at: BindParameter[int] = bindparam("at")
        statement = (
            update(api_keys)
            .where(api_keys.c.id == bindparam("key"))
            .where(or_(api_keys.c.used.is_(None), api_keys.c.used < at))
            .values(used=at)
        )
        with _as_store_error(), self._database.write() as connection:
            connection.execute(statement, [{"key": key, "at": t} for key, t in times.items()])

    def changes(self, since: int) -> tuple[list[KeyRecord], int]:
        """Return the keys that are new or changed since a mark, and the new mark."""
        with _as_store_error():
            self._check_file()
            with self._database.read() as connection:
                last: int = connection.execute(select(key_changes.c.number)).scalar_one()
                if last == since:
                    return [], since
                if last < since:
                    name = self._database.name
                    raise StoreReplaced(f"{name} was put back to an earlier state")
                changed = api_keys.c.changed
                rows = connection.execute(
                    select(*_COLUMNS).where(changed > since).order_by(changed)
                )
                return [_record(row) for row in rows], last

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _check_file(self) -> None:
        file = self._database.file
        if file is None or self._file is None:
            return
        try:
            same = os.path.samestat(self._file, os.stat(file))
        except OSError as error:
            raise StoreError(f"{file} is gone") from error
        if not same:
            raise StoreReplaced(f"{file} is another file now")


class _as_store_error:
    """Turns errors of the database into errors of the store."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DatabaseError):
            raise StoreError(str(error)) from error


def _next_change(connection: Connection) -> int:
    """Return the number of this write; whoever else wants to write waits until this one is done."""
    connection.execute(update(key_changes).values(number=key_changes.c.number + 1))
    return int(connection.execute(select(key_changes.c.number)).scalar_one())


def _any(connection: Connection) -> bool:
    return bool(connection.execute(select(func.count()).select_from(api_keys)).scalar_one())


def _insert(connection: Connection, record: KeyRecord) -> None:
    values = _values(record)
    connection.execute(insert(api_keys).values(**values, changed=_next_change(connection)))


def _find(connection: Connection, key_id: str) -> KeyRecord | None:
    row = connection.execute(select(*_COLUMNS).where(api_keys.c.id == key_id)).first()
    return None if row is None else _record(row)


def _values(record: KeyRecord) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in _FIELDS}
    for name in _LISTS:
        values[name] = json.dumps(values[name])
    return values


def _record(row: Row[Any]) -> KeyRecord:
    values = dict(row._mapping)
    for name in _LISTS:
        values[name] = tuple(json.loads(values[name]))
    values["digest"] = bytes(values["digest"])
    return KeyRecord(**values)
