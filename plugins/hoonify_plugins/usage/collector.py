"""From the gateways' journals into the database: a thread of the supervisor, many records in one transaction."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from hoonify_plugins.usage.journal import SUFFIX
from hoonify_plugins.usage.reading import Reading, has_a_writer, read_journal
from hoonify_plugins.usage.store import UsageStore
from hoonify_router.errors import PluginError

_INTERVAL = 1.0
_BATCH = 10_000


class UsageCollector(threading.Thread):
    """Takes over every record once, whoever is killed meanwhile.

    Args:
        open_store: Opens the database; may block.
        folder: Where the journals are.
        log: Where trouble is told.
        interval: Seconds between two looks.
        batch: How many records are put into the database in one transaction, at most.
    """

    def __init__(
        self,
        open_store: Callable[[], UsageStore],
        folder: Path,
        log: logging.Logger,
        interval: float = _INTERVAL,
        batch: int = _BATCH,
    ) -> None:
        super().__init__(name="collect usage records", daemon=True)
        self._open_store = open_store
        self._folder = folder
        self._log = log
        self._interval = interval
        self._batch = batch
        self._stopping = threading.Event()
        self._store: UsageStore | None = None
        self._places: dict[str, int] = {}
        self._damaged: dict[str, int] = {}
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
        taken, more = 0, True
        while more:
            readings, ended, more = self._read(self._store)
            if readings:
                self._places |= self._store.take_over(readings)
                taken += sum(
                    len(each.rows) for each in readings if self._places[each.journal] == each.place
                )
            for path, place in ended.items():
                if self._places[path.stem] == place:
                    path.unlink(missing_ok=True)
                    del self._places[path.stem]
        return taken

    def _read(self, store: UsageStore) -> tuple[list[Reading], dict[Path, int], bool]:
        """Return one batch, the journals that end at their place then, and whether there may be more."""
        readings: list[Reading] = []
        ended: dict[Path, int] = {}
        room = self._batch
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            if room == 0:
                return readings, ended, True
            try:
                written = has_a_writer(path)  # asked first: nothing comes after that any more
                if path.stem not in self._places:
                    self._places[path.stem] = store.place_of(path.stem)
                reading = read_journal(path, self._places[path.stem], room)
            except FileNotFoundError:
                continue  # somebody else has just taken it over
            room -= len(reading.rows)
            if reading.rows:
                readings.append(reading)
            if reading.damaged:
                self._tell_damage(path, reading.place)
            elif not written and room:
                ended[path] = reading.place
        return readings, ended, room == 0

    def _tell_damage(self, path: Path, place: int) -> None:
        if self._damaged.get(path.stem) != place:
            self._damaged[path.stem] = place
            self._log.error(
                "%s is damaged at %d; the rest of it is left where it is", path.name, place
            )
