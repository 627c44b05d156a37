"""Open a database: its tables are brought up to date, its errors say what to do and never show a password."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError

from hoonify_plugins.database.address import DatabaseError
from hoonify_plugins.database.migration import bring_up_to_date

BUSY_SECONDS = 5.0
_CONNECT_SECONDS = 5
_WRITES = {"hoonify_writes": True}


class Database:
    """An open database; threads may share it.

    Args:
        url: SQLAlchemy's URL.

    Raises:
        DatabaseError: It cannot be opened or made, or it was written by a newer version.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.name = parsed.database if parsed.drivername == "sqlite" else _shown(url)
        self.file = Path(parsed.database or "") if parsed.drivername == "sqlite" else None
        with self._failing_helpfully():
            self._engine = _sqlite(self.file) if self.file is not None else _postgres(url)
            try:
                with self._engine.connect():
                    pass
                self._migrate()
            except BaseException:
                self._engine.dispose()
                raise

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection for reading.

        Raises:
            DatabaseError: It cannot be read.
        """
        with self._failing_helpfully(), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in a transaction, which is committed at the end, or undone.

        Raises:
            DatabaseError: It cannot be written.
        """
        engine = self._engine.execution_options(**_WRITES)
        with self._failing_helpfully(), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _migrate(self) -> None:
        with self._engine.execution_options(**_WRITES).begin() as connection:
            bring_up_to_date(connection)

    @contextlib.contextmanager
    def _failing_helpfully(self) -> Iterator[None]:
        try:
            yield
        except (OSError, SQLAlchemyError) as error:
            raise DatabaseError(
                f"the database {self.name} cannot be used: {_why(error)}"
            ) from error


def _sqlite(file: Path | None) -> Engine:
    """Return an engine for a file that only its owner can read; writers take turns, readers never wait."""
    assert file is not None
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A file that is there must not be opened: to close it again would take the locks of all connections that this
    # process has to it, and the next one that closes elsewhere would delete their journal.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a key is shown once: keep it

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Who will write says so at once: the busy timeout counts here, not at the end.
        writes = _WRITES.items() <= connection.get_execution_options().items()
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres(url: str) -> Engine:
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_size=2,
        connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "hoonify-router"},
    )


def _shown(url: str) -> str:
    """Return a URL as it may be shown: host and database, no user and no password."""
    parsed = make_url(url)
    return f"{parsed.database} at {parsed.host or 'localhost'}"


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0][:200] if str(cause).strip() else type(cause).__name__
