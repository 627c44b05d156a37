"""How long homes took to load: learned, kept over restarts, and told to whoever has to wait."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import statistics
import tempfile
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from hoonify_router.supervisor.plan import HomePlan

log = logging.getLogger(__name__)

FILE_NAME = "load_times.json"
_KEPT = 5  # loads of one home; the newest say most of the next
_MOST_HOMES = 1000


class Record(Struct):
    """The loads of one home.

    Args:
        home: What it was called last, for whoever reads the file.
        at: Unix time of the newest load.
        seconds: How long they took, the newest last.
    """

    home: str
    at: float
    seconds: list[float]


def identity_of(plan: HomePlan) -> str:
    """Return what stays the same as long as a load of this home is the same work.

    That is its backend, its options and its interpreter; neither its name nor its place in the file.
    """
    said = (plan.backend.name, plan.options, plan.interpreter, plan.home.url or "")
    encoded = msgspec.json.encode(said, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:32]


class LoadTimes:
    """What is known of loads, in one small file that only the supervisor writes.

    It is an aid to memory: a file that cannot be read or written costs nothing but better estimates.

    Args:
        folder: The state folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._records = _read(self._path)

    def expected(self, plan: HomePlan) -> float | None:
        """Return how many seconds a load of this home is likely to take; ``None`` where it never was loaded."""
        record = self._records.get(identity_of(plan))
        return statistics.median(record.seconds) if record and record.seconds else None

    def learn(self, plan: HomePlan, seconds: float) -> None:
        """Note that a load of this home took ``seconds``, and write it down."""
        self._records = _read(self._path) or self._records  # other routers may share the folder
        identity = identity_of(plan)
        known = self._records.pop(identity, None)
        before = known.seconds if known is not None else []
        taken = [*before, round(seconds, 3)][-_KEPT:]
        self._records[identity] = Record(plan.id, round(time.time(), 3), taken)
        while len(self._records) > _MOST_HOMES:
            del self._records[min(self._records, key=lambda one: self._records[one].at)]
        try:
            _write(self._path, self._records)
        except OSError as error:
            log.warning("the load time of %s cannot be written down: %s", plan.id, error)


def _read(path: Path) -> dict[str, Record]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Record])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _write(path: Path, records: dict[str, Record]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{FILE_NAME}")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(records)))
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
