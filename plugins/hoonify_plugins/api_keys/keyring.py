"""The good keys in memory, kept in step with a store that other processes write to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from hoonify_plugins.api_keys.record import KeyRecord, StoreError, StoreReplaced

T = TypeVar("T")

_AT_ONCE = 500  # keys that are taken over before the event loop has another turn


class KeySource(Protocol):
    """Where the keys come from; its methods may block."""

    def changes(self, since: int) -> tuple[Sequence[KeyRecord], int]:
        """Return the keys that are new or changed since a mark, and the new mark; see ``KeyStore``."""

    def close(self) -> None:
        """Give everything back."""


class Keyring:
    """All keys that are not revoked, by their digests.

    The store is only touched in a thread of its own, so that neither a slow disk nor other work in the
    default pool holds up the event loop or a revocation.

    Args:
        open_store: Opens the store; called in that thread.
        log: Where trouble is told.
        interval: Seconds between two looks at the store.
        patience: Seconds until the store must have been read for the first time. Whoever makes it ready may
            just be starting, too, or be started again after its death.
    """

    def __init__(
        self,
        open_store: Callable[[], KeySource],
        log: logging.Logger,
        interval: float = 0.5,
        patience: float = 60.0,
    ) -> None:
        self._open_store = open_store
        self._log = log
        self._interval = interval
        self._patience = patience
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="api-keys")
        self._store: KeySource | None = None
        self._good: dict[bytes, KeyRecord] = {}
        self._mark = 0
        self._reachable = True
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read all keys and follow the store from now on.

        Raises:
            StoreError: It cannot be opened, or not be read for long.
        """
        self._store = await self._in_thread(self._open_store)
        deadline = time.monotonic() + self._patience
        while True:
            try:
                await self._refresh()
                break
            except StoreError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(self._interval)
        self._following = asyncio.create_task(self._follow(), name="follow the key store")

    async def stop(self) -> None:
        """Stop following and close the store; may be called whatever ``start`` came to."""
        for task in (self._following, self._next):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, StoreError):
                    await task
        if self._store is not None:
            await self._in_thread(self._store.close)
            self._store = None
        self._thread.shutdown(wait=False)

    def find(self, digest: bytes) -> KeyRecord | None:
        """Return the key with this digest, as far as it is known in memory."""
        return self._good.get(digest)

    async def catch_up(self) -> None:
        """Return once all that was in the store before this call is known.

        Any number of callers share one look at the store, so that a flood of wrong keys costs it nothing.

        Raises:
            StoreError: The store cannot be read.
        """
        if self._store is None:
            raise StoreError("the key store is not open")
        if self._next is None:
            self._next = asyncio.create_task(self._take_turn(), name="read new keys")
            self._next.add_done_callback(_note_exception)
        await asyncio.shield(self._next)

    async def _take_turn(self) -> None:
        async with (
            self._turn
        ):  # wait for a look that has begun: it may have missed the caller's key
            self._next = None
            await self._refresh()

    async def _refresh(self) -> None:
        """Take over what is new; all of it when another store stands in the place of ours."""
        good = self._good
        try:
            records, self._mark = await self._in_thread(self._changes)
        except StoreReplaced as replaced:
            await self._in_thread(self._open_again)
            records, self._mark = await self._in_thread(self._changes)
            good = {}
            self._log.warning("%s; its keys were read anew", replaced)
        for start in range(0, len(records), _AT_ONCE):
            if start:
                await asyncio.sleep(0)  # requests go on meanwhile
            for record in records[start : start + _AT_ONCE]:
                if record.revoked is None:
                    good[record.digest] = record
                else:
                    good.pop(record.digest, None)
        self._good = good

    def _changes(self) -> tuple[Sequence[KeyRecord], int]:
        if self._store is None:
            raise StoreError("the key store is not open")
        return self._store.changes(self._mark)

    def _open_again(self) -> None:
        old, self._store, self._mark = self._store, self._open_store(), 0
        if old is not None:
            old.close()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.catch_up()
            except StoreError as error:
                if self._reachable:
                    self._log.error("%s; the keys known so far stay good", error)
                self._reachable = False
            else:
                if not self._reachable:
                    self._log.warning("the key store can be read again")
                self._reachable = True

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def _note_exception(task: asyncio.Task[None]) -> None:
    """Take the exception out of a task whose callers may all have left."""
    if not task.cancelled():
        task.exception()
