"""The one who looks at the key database, in a thread of the supervisor, for all gateways of a router."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hoonify_plugins.api_keys.record import KeyRecord, KeyStore, StoreError, StoreReplaced
from hoonify_plugins.api_keys.snapshot import SnapshotWriter, read_used

_INTERVAL = 0.5
_USED_INTERVAL = 10.0


class KeyFollower(threading.Thread):
    """Writes a snapshot of all keys and what changes of them, and when they were last used into the database.

    Args:
        open_store: Opens the database; may block.
        declared: Keys of the configuration file; they win over those of the database with the same digest.
        folder: Where gateways read.
        log: Where trouble is told.
        interval: Seconds between two looks.
    """

    def __init__(
        self,
        open_store: Callable[[], KeyStore],
        declared: Sequence[KeyRecord],
        folder: Path,
        log: logging.Logger,
        interval: float = _INTERVAL,
    ) -> None:
        super().__init__(name="follow the key database", daemon=True)
        self._open_store = open_store
        self._declared = {record.digest: record for record in declared}
        self._folder = folder
        self._writer = SnapshotWriter(folder)
        self._log = log
        self._interval = interval
        self._stopping = threading.Event()
        self._store: KeyStore | None = None
        self._keys: dict[bytes, KeyRecord] = {}
        self._mark = 0
        self._epoch = secrets.token_hex(8)
        self._number = 0
        self._whole = False  # whether all keys have been written down
        self._reachable = True
        self._noted: dict[str, int] = {}
        self._used_at = time.monotonic()

    def stop(self) -> None:
        """End the thread and close the database."""
        self._stopping.set()
        self.join()

    def run(self) -> None:
        """Look, again and again."""
        while True:
            try:
                self.look()
            except FileNotFoundError:
                return  # the router's folder is gone: so is the router
            except Exception as error:
                if self._reachable:
                    what = error if isinstance(error, StoreError) else repr(error)
                    self._log.error("%s; the keys known so far stay good", what)
                self._reachable = False
            if self._stopping.wait(self._interval):
                break
        if self._store is not None:
            self._store.close()

    def look(self) -> None:
        """Take over what has changed, tell the gateways, note what was used."""
        began = time.time()
        if self._store is None:
            self._store = self._open_store()
            self._whole = False
        changed = self._take_over()
        whole, self._whole = self._whole, False  # until this is written
        if not whole or self._writer.is_long(len(self._keys)):
            self._number += 1
            keys = [*(self._keys | self._declared).values()]
            self._writer.replace(self._epoch, self._number, keys)
        elif changed:
            self._number += 1
            self._writer.append(self._number, changed)
        self._whole = True
        self._writer.touch(began)
        if not self._reachable:
            self._log.warning("the key database can be read again")
        self._reachable = True
        if time.monotonic() - self._used_at >= _USED_INTERVAL:
            self.note_used()

    def note_used(self) -> None:
        """Write into the database when keys were last used, as far as gateways have told."""
        self._used_at = time.monotonic()
        told = read_used(self._folder)
        news = {key: at for key, at in told.items() if at > self._noted.get(key, 0)}
        if news and self._store is not None:
            self._store.mark_used(news)
        self._noted = told

    def _take_over(self) -> list[KeyRecord]:
        """Learn what has changed; return what of it gateways must hear."""
        assert self._store is not None
        try:
            records, self._mark = self._store.changes(self._mark)
        except StoreReplaced as replaced:
            self._log.warning("%s; its keys are read anew", replaced)
            self._store.close()
            self._store, self._mark = None, 0
            self._keys.clear()
            self._epoch = secrets.token_hex(8)
            self._store = self._open_store()
            records, self._mark = self._store.changes(0)
            self._whole = False
        for record in records:
            self._keys[record.digest] = record
        return [record for record in records if record.digest not in self._declared]
