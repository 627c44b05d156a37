"""Keys in an SQLite file that several processes read and write at the same time."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hoonify_plugins.api_keys.record import KeyRecord, KeyStore, StoreError, StoreReplaced
from hoonify_plugins.api_keys.settings import APIKeysSettings, database_path, problems_of
from hoonify_router.api import LoadedConfig

BUSY_SECONDS = 5.0
SCHEMA_VERSION = 1
# `changed` counts the writes to the table: readers ask for what is newer than what they have seen.
SCHEMA = """
    CREATE TABLE api_keys (
        id      TEXT PRIMARY KEY,
        name    TEXT NOT NULL,
        plan    TEXT NOT NULL,
        digest  BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        created INTEGER NOT NULL,
        expires INTEGER,
        revoked INTEGER,
        models  TEXT NOT NULL DEFAULT '[]',
        changed INTEGER NOT NULL
    )
"""
INDEX = "CREATE UNIQUE INDEX api_keys_changed ON api_keys (changed)"
COLUMNS = "id, name, plan, digest, created, expires, revoked, models"
NEXT_CHANGE = "(SELECT coalesce(max(changed), 0) + 1 FROM api_keys)"


def open_store(settings: APIKeysSettings, loaded: LoadedConfig) -> KeyStore:
    """Open the store that the settings name; its file is made if there is none.

    Raises:
        StoreError: It cannot be opened.
    """
    if problems := problems_of(settings):
        raise StoreError("; ".join(problems))
    return SQLiteKeyStore(database_path(settings, loaded))


class SQLiteKeyStore:
    """A ``KeyStore`` in one file, readable by its owner only.

    One connection; threads may take turns with it, not share it at the same moment.

    Args:
        path: The file.

    Raises:
        StoreError: It cannot be opened or made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._failing_helpfully():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._file = os.fstat(file)
            os.close(file)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        self._write_ahead()
        self._connection.execute("PRAGMA synchronous = FULL")  # a key is shown once: keep it
        if self._schema_version() == SCHEMA_VERSION:
            return
        with self._transaction():
            version = self._schema_version()  # another process may have been quicker
            if version == 0:
                self._connection.execute(SCHEMA)
                self._connection.execute(INDEX)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise StoreError(
                    f"{self._path} has key schema {version}, this version knows {SCHEMA_VERSION}:"
                    " it was written by a newer hoonify-router"
                )

    def _write_ahead(self) -> None:
        """Switch to WAL, so that readers never wait for a writer.

        SQLite does not use its busy timeout for this one step, so wait here.
        """
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _schema_version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def add(self, record: KeyRecord) -> None:
        """Keep a new key."""
        with self._failing_helpfully():
            self._insert(record, where="")

    def add_first(self, record: KeyRecord) -> bool:
        """Keep it only if there has never been a key."""
        with self._failing_helpfully():
            return self._insert(record, where="WHERE NOT EXISTS (SELECT 1 FROM api_keys)")

    def _insert(self, record: KeyRecord, where: str) -> bool:
        values = (
            record.id,
            record.name,
            record.plan,
            record.digest,
            record.created,
            record.expires,
            record.revoked,
            json.dumps(record.models),
        )
        statement = f"INSERT INTO api_keys ({COLUMNS}, changed) SELECT ?, ?, ?, ?, ?, ?, ?, ?, {NEXT_CHANGE}"
        with self._transaction():
            return self._connection.execute(f"{statement} {where}", values).rowcount == 1

    def all(self) -> list[KeyRecord]:
        """Return every key, the oldest first."""
        with self._failing_helpfully():
            rows = self._connection.execute(
                f"SELECT {COLUMNS} FROM api_keys ORDER BY created, rowid"
            )
            return [_record(row) for row in rows]

    def revoke(self, key_id: str, now: int) -> KeyRecord | None:
        """Revoke a key for good; one that is revoked already keeps its time."""
        with self._failing_helpfully(), self._transaction():
            self._connection.execute(
                f"UPDATE api_keys SET revoked = ?, changed = {NEXT_CHANGE}"
                " WHERE id = ? AND revoked IS NULL",
                (now, key_id),
            )
            row = self._connection.execute(
                f"SELECT {COLUMNS} FROM api_keys WHERE id = ?", (key_id,)
            ).fetchone()
            return None if row is None else _record(row)

    def changes(self, since: int) -> tuple[list[KeyRecord], int]:
        """Return the keys that are new or changed since a mark, and the new mark."""
        with self._failing_helpfully():
            if not os.path.samestat(self._file, os.stat(self._path)):
                raise StoreReplaced(f"{self._path} is another file now")
            rows = self._connection.execute(
                f"SELECT {COLUMNS}, changed FROM api_keys WHERE changed > ? ORDER BY changed",
                (since,),
            ).fetchall()
            if (
                not rows
                and since >= self._connection.execute(f"SELECT {NEXT_CHANGE}").fetchone()[0]
            ):
                raise StoreReplaced(f"{self._path} was put back to an earlier state")
        return [_record(row[:-1]) for row in rows], rows[-1][-1] if rows else since

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")  # the busy timeout counts here, not at the end
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _failing_helpfully(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            what = error.strerror if isinstance(error, OSError) else str(error)
            raise StoreError(f"the keys in {self._path} cannot be used: {what}") from error


def _record(row: tuple[Any, ...]) -> KeyRecord:
    key_id, name, plan, digest, created, expires, revoked, models = row
    return KeyRecord(
        key_id, name, plan, digest, created, expires, revoked, tuple(json.loads(models))
    )
