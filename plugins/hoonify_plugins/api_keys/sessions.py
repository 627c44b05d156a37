"""Browsers that have signed in with a key: a random cookie, and who it stands for in the keys' database.

Each look goes to the database, so that signing out ends a session on all machines at once. A key that is revoked or
expires ends its sessions, too: a session leads to a key, and the key must be good.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.cookies import CookieError, SimpleCookie
from typing import Protocol, TypeVar

T = TypeVar("T")

COOKIE = "hoonify_session"
CSRF_HEADER = "x-csrf-token"
_LENGTH = 43  # of 32 random bytes in URL-safe base64


class SessionStore(Protocol):
    """A place that keeps sessions; its methods may block. Each raises ``StoreError`` when it cannot."""

    def begin(self, session: bytes, key: bytes, expires: int) -> None:
        """Keep a new session for a key, both by their digests; forget those that are over."""

    def find(self, session: bytes, now: float) -> bytes | None:
        """Return the digest of the key that a session stands for, unless it is over."""

    def change(self, session: bytes, key: bytes) -> None:
        """Let a session stand for another key."""

    def end(self, session: bytes) -> None:
        """Forget a session."""

    def close(self) -> None:
        """Give everything back."""


class Sessions:
    """All sessions; the store is opened when it is first needed, and touched in a thread of its own.

    Args:
        open_store: Opens it.
    """

    def __init__(self, open_store: Callable[[], SessionStore]) -> None:
        self._open_store = open_store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sessions")
        self._store: SessionStore | None = None

    async def begin(self, key: bytes, seconds: float) -> str:
        """Return what the cookie of a new session says.

        Args:
            key: Digest of the key that has signed in.
            seconds: How long it lasts.
        """
        token = secrets.token_urlsafe(32)
        expires = int(time.time() + seconds)
        await self._do(lambda store: store.begin(_digest(token), key, expires))
        return token

    async def find(self, token: str) -> bytes | None:
        """Return the digest of the key that a cookie stands for, if it does."""
        if len(token) != _LENGTH or not token.isascii():
            return None
        return await self._do(lambda store: store.find(_digest(token), time.time()))

    async def change(self, token: str, key: bytes) -> None:
        """Let a session stand for the successor of its key."""
        await self._do(lambda store: store.change(_digest(token), key))

    async def end(self, token: str) -> None:
        """End a session, everywhere."""
        await self._do(lambda store: store.end(_digest(token)))

    async def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
            self._store = None
        self._thread.shutdown(wait=False)

    async def _do(self, work: Callable[[SessionStore], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    def _run(self, work: Callable[[SessionStore], T]) -> T:
        if self._store is None:
            self._store = self._open_store()
        return work(self._store)


def csrf_token(token: str) -> str:
    """Return what a form or a script must send beside the cookie: other sites can make a browser send the
    cookie at most, and can read neither."""
    return hmac.new(token.encode(), b"hoonify forms", hashlib.sha256).hexdigest()


def is_meant(token: str, given: str) -> bool:
    """Tell whether ``given`` is the CSRF token of a session."""
    return hmac.compare_digest(csrf_token(token).encode(), given.encode("utf-8", "replace"))


def session_of(headers: Mapping[str, str]) -> str | None:
    """Return the session of a request that a script of our own pages has sent, which proves it by a header."""
    cookie = headers.get("cookie", "")
    given = headers.get(CSRF_HEADER, "")
    if not given or COOKIE not in cookie:
        return None
    try:
        found = SimpleCookie(cookie).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None and is_meant(found.value, given) else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
