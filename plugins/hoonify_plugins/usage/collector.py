"""From the gateways' journals into the database: a thread of the supervisor, many records in one transaction."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from hoonify_plugins.usage.journal import SUFFIX, has_a_writer, records_from
from hoonify_plugins.usage.record import UsageRecord
from hoonify_plugins.usage.store import UsageStore
from hoonify_router.errors import PluginError

_INTERVAL = 0.5
_BATCH = 1000


class UsageCollector(threading.Thread):
    """Takes over every record once, whoever is killed meanwhile.

    Args:
        open_store: Opens the database; may block.
        folder: Where the journals are.
        log: Where trouble is told.
        interval: Seconds between two looks.
    """

    def __init__(
        self,
        open_store: Callable[[], UsageStore],
        folder: Path,
        log: logging.Logger,
        interval: float = _INTERVAL,
    ) -> None:
        super().__init__(name="collect usage records", daemon=True)
        self._open_store = open_store
        self._folder = folder
        self._log = log
        self._interval = interval
        self._stopping = threading.Event()
        self._store: UsageStore | None = None
        self._places: dict[str, int] = {}
        self._damaged: set[str] = set()
        self._reachable = True

    def stop(self) -> None:
        """Take over what is there and end the thread."""
        self._stopping.set()
        self.join()

    def run(self) -> None:
        """Collect, again and again."""
        while True:
            last = self._stopping.wait(self._interval)
            try:
                self.collect()
            except (PluginError, OSError) as error:
                if self._reachable:
                    self._log.error("%s; usage records wait in their journals", error)
                self._reachable = False
            else:
                if not self._reachable:
                    self._log.warning("usage records are taken over again")
                self._reachable = True
            if last:
                break
        if self._store is not None:
            self._store.close()

    def collect(self) -> int:
        """Take over all whole records that are there; return how many.

        Raises:
            PluginError: The database cannot be written.
        """
        if self._store is None:
            self._store = self._open_store()
        taken = 0
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            if path.name not in self._damaged:
                taken += self._take_over(path, self._store)
        return taken

    def _take_over(self, path: Path, store: UsageStore) -> int:
        journal, taken = path.stem, 0
        try:
            finished = not has_a_writer(path)  # asked first: nothing comes after that any more
        except FileNotFoundError:
            return 0  # somebody else has just taken it over
        place = self._places.get(journal)
        if place is None:
            place = store.place_of(journal)
        damage: ValueError | None = None
        records = records_from(path, place)
        while damage is None:
            batch: list[tuple[int, UsageRecord]] = []
            try:
                batch.extend(islice(records, _BATCH))
            except ValueError as error:  # what was read before it is in the batch
                damage = error
            if not batch:
                break
            store.add(journal, batch)
            place = batch[-1][0]
            self._places[journal] = place
            taken += len(batch)
        if damage is not None:
            self._log.error("%s; the rest of it is left where it is", damage)
            self._damaged.add(path.name)
            return taken
        self._places[journal] = place
        if finished:
            path.unlink(missing_ok=True)
            self._places.pop(journal, None)
        return taken
