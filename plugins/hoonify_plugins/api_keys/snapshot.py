"""The keys as gateways read them: a file in the folder that the processes of one router share.

The supervisor alone looks at the database, and writes down all keys whenever one has changed; it touches the file after
every look. So a gateway needs no database library, and a database has one reader per router however many gateways
there are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from hoonify_plugins.api_keys.record import KeyRecord, StoreError, StoreReplaced

_NAME = "api_keys"
_USED = "api_keys.used."
_PATIENCE = 5.0
_STEP = 0.05


class Snapshot(msgspec.Struct):
    """All keys at one moment.

    Args:
        epoch: Changes when numbers begin anew, as when a database was replaced.
        number: Of the last change.
        keys: All keys, revoked ones too.
    """

    epoch: str
    number: int
    keys: list[KeyRecord]


_decode = msgspec.msgpack.Decoder(Snapshot).decode
_decode_used = msgspec.msgpack.Decoder(dict[str, int]).decode


def write_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Replace the file as a whole; only its owner can read it."""
    _replace(folder / _NAME, msgspec.msgpack.encode(snapshot))


def touch_snapshot(folder: Path, looked_at: float) -> None:
    """Tell readers that nothing has changed up to a moment, in Unix seconds."""
    os.utime(folder / _NAME, (looked_at, looked_at))


def write_used(folder: Path, times: Mapping[str, int]) -> None:
    """Write down, for the supervisor, when this process has last seen which keys."""
    _replace(folder / f"{_USED}{os.getpid()}", msgspec.msgpack.encode(dict(times)))


def read_used(folder: Path) -> dict[str, int]:
    """Return when keys were last seen by any gateway."""
    latest: dict[str, int] = {}
    for path in folder.glob(f"{_USED}*"):
        try:
            times = _decode_used(path.read_bytes())
        except (OSError, msgspec.DecodeError):
            continue  # it has just been taken away
        for key_id, at in times.items():
            latest[key_id] = max(at, latest.get(key_id, 0))
    return latest


class SnapshotReader:
    """What a gateway knows the keys from; as much of a ``KeyStore`` as it needs.

    Args:
        folder: Where the snapshot is.
        clock: Unix time.
        patience: Seconds that a look may take before the writer is taken to be gone.
    """

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.time, patience: float = _PATIENCE
    ) -> None:
        self._path = folder / _NAME
        self._clock = clock
        self._patience = patience
        self._seen: tuple[int, int] | None = None  # inode and size of the file that was read last
        self._epoch: str | None = None

    def changes(self, since: int) -> tuple[Sequence[KeyRecord], int]:
        """Return all keys if any has changed since a mark, and the new mark.

        Waits until the database has been looked at after this call. May block for that.

        Raises:
            StoreReplaced: Marks begin anew.
            StoreError: Nobody looks at the database.
        """
        status = self._wait_for_look()
        seen = (status.st_ino, status.st_size)
        if seen == self._seen:
            return [], since
        try:
            snapshot = _decode(self._path.read_bytes())
        except (OSError, msgspec.DecodeError) as error:
            raise StoreError("the keys of this router cannot be read") from error
        if self._epoch not in (None, snapshot.epoch):
            self._epoch = self._seen = None
            raise StoreReplaced("the keys were replaced as a whole")
        self._seen, self._epoch = seen, snapshot.epoch
        return snapshot.keys, snapshot.number

    def close(self) -> None:
        """Have nothing to close."""

    def _wait_for_look(self) -> os.stat_result:
        asked, deadline = self._clock(), time.monotonic() + self._patience
        while True:
            try:
                status = os.stat(self._path)
            except OSError:
                status = None
            if status is not None and status.st_mtime >= asked:
                return status
            if time.monotonic() > deadline:
                raise StoreError("nobody has looked at the key database for some seconds")
            time.sleep(_STEP)


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.new")
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, content)
    finally:
        os.close(file)
    os.replace(beside, path)
