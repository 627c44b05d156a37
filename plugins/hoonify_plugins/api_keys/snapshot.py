"""The keys as gateways read them: a file in the folder that the processes of one router share.

The supervisor alone looks at the database. It writes all keys down once, appends those that change, and touches another
file after every look. So a gateway needs no database library, a database has one reader per router however many
gateways there are, and a changed key among a hundred thousand costs a gateway no more than one among ten.

The file is 16 characters that change when numbers begin anew, as when a database was replaced, and then parts: four bytes of length, eight
with the number of the change, and a few keys. No part takes long to decode: whoever does so lets nobody else run.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from hoonify_plugins.api_keys.record import KeyRecord, StoreError, StoreReplaced

_NAME = "api_keys"
_LOOKED = "api_keys.looked"
_USED = "api_keys.used."
_PATIENCE = 5.0
_STEP = 0.05
_EPOCH_SIZE = 16
_PART = struct.Struct("<IQ")
_KEYS_IN_PART = 256
_MOST_APPENDED = 1000  # keys; then all are written anew, if that is no more than was appended

_decode = msgspec.msgpack.Decoder(list[KeyRecord]).decode
_decode_used = msgspec.msgpack.Decoder(dict[str, int]).decode


class SnapshotWriter:
    """Writes the file; its owner alone can read it.

    Args:
        folder: Where gateways read.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._looked = folder / _LOOKED
        self._appended = 0

    def replace(self, epoch: str, number: int, keys: Sequence[KeyRecord]) -> None:
        """Write all keys.

        Args:
            epoch: Sixteen characters; other ones than before if numbers begin anew.
            number: Of the last change.
            keys: All of them, revoked ones too.
        """
        _replace(self._path, epoch.encode("ascii") + _parts(number, keys))
        self._appended = 0

    def append(self, number: int, keys: Sequence[KeyRecord]) -> None:
        """Write what has changed since the last number."""
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            _write_all(file, _parts(number, keys))
        finally:
            os.close(file)
        self._appended += len(keys)

    def is_long(self, keys: int) -> bool:
        """Tell whether so much has been appended that all ``keys`` had better be written anew."""
        return self._appended >= max(_MOST_APPENDED, keys)

    def touch(self, looked_at: float) -> None:
        """Tell readers that all is written that had changed up to a moment, in Unix seconds."""
        if not self._looked.exists():
            _replace(self._looked, b"")
        os.utime(self._looked, (looked_at, looked_at))


def _parts(number: int, keys: Sequence[KeyRecord]) -> bytes:
    parts = []
    for start in range(0, len(keys), _KEYS_IN_PART):
        body = msgspec.msgpack.encode(keys[start : start + _KEYS_IN_PART])
        parts += [_PART.pack(len(body), number), body]
    return b"".join(parts)


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
        self._looked = folder / _LOOKED
        self._clock = clock
        self._patience = patience
        self._file = 0  # inode of the file that was read last
        self._read = 0  # how much of it
        self._epoch: bytes | None = None

    def changes(self, since: int) -> tuple[Sequence[KeyRecord], int]:
        """Return the keys that have changed since a mark, or since the last call, and the new mark.

        Waits until the database has been looked at after this call. May block for that.

        Raises:
            StoreReplaced: Marks begin anew.
            StoreError: Nobody looks at the database.
        """
        self._wait_for_look()
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino == self._file and status.st_size == self._read:
                    return [], since
                return self._read_on(file, status.st_ino, since)
        except (OSError, msgspec.DecodeError, struct.error) as error:
            raise StoreError("the keys of this router cannot be read") from error

    def _read_on(self, file: BinaryIO, inode: int, since: int) -> tuple[list[KeyRecord], int]:
        epoch = file.read(_EPOCH_SIZE)
        if self._epoch not in (None, epoch):
            self._epoch, self._file = None, 0
            raise StoreReplaced("the keys were replaced as a whole")
        place = file.seek(self._read) if inode == self._file else _EPOCH_SIZE
        keys: list[KeyRecord] = []
        last = since
        while len(head := file.read(_PART.size)) == _PART.size:
            length, number = _PART.unpack(head)
            if number > since:
                body = file.read(length)
                if len(body) < length:
                    break  # it is just being written, after the look that was waited for
                keys += _decode(body)
                last = max(last, number)
                time.sleep(0)  # let the event loop's thread have its turn
            else:
                file.seek(length, os.SEEK_CUR)
            place += _PART.size + length
        self._epoch, self._file, self._read = epoch, inode, place
        return keys, last

    def close(self) -> None:
        """Have nothing to close."""

    def _wait_for_look(self) -> None:
        asked, deadline = self._clock(), time.monotonic() + self._patience
        while True:
            try:
                if os.stat(self._looked).st_mtime >= asked:
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise StoreError("nobody has looked at the key database for some seconds")
            time.sleep(_STEP)


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.new")
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(file, content)
    finally:
        os.close(file)
    os.replace(beside, path)


def _write_all(file: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]
