"""Sessions in the keys' database."""

from __future__ import annotations

import time

from sqlalchemy import delete, insert, select, update

from hoonify_plugins.api_keys.record import StoreError
from hoonify_plugins.database.address import DatabaseError
from hoonify_plugins.database.opening import Database
from hoonify_plugins.database.tables import browser_sessions as sessions


class DatabaseSessionStore:
    """A ``SessionStore`` in the database.

    Args:
        url: SQLAlchemy's URL of it.

    Raises:
        StoreError: It cannot be opened or made.
    """

    def __init__(self, url: str) -> None:
        with _as_store_error():
            self._database = Database(url)

    def begin(self, session: bytes, key: bytes, expires: int) -> None:
        """Keep a new session, and forget those that are over."""
        with _as_store_error(), self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.expires <= int(time.time())))
            connection.execute(insert(sessions).values(id=session, key=key, expires=expires))

    def find(self, session: bytes, now: float) -> bytes | None:
        """Return the digest of the key that a session stands for, unless it is over."""
        asked = select(sessions.c.key).where(sessions.c.id == session, sessions.c.expires > now)
        with _as_store_error(), self._database.read() as connection:
            found = connection.execute(asked).scalar_one_or_none()
        return None if found is None else bytes(found)

    def change(self, session: bytes, key: bytes) -> None:
        """Let a session stand for another key."""
        with _as_store_error(), self._database.write() as connection:
            connection.execute(update(sessions).where(sessions.c.id == session).values(key=key))

    def end(self, session: bytes) -> None:
        """Forget a session."""
        with _as_store_error(), self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.id == session))

    def close(self) -> None:
        """Close the database."""
        self._database.close()


class _as_store_error:
    """Turns errors of the database into errors of the store."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DatabaseError):
            raise StoreError(str(error)) from error
