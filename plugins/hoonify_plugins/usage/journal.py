"""A gateway's own file of usage records: each is in it, whole, before the client sees the end of its answer.

One write to a file costs microseconds, and what a process has written stays when the process is killed. The
supervisor takes the records over into the database, many at once; a file whose writer is gone is deleted when all of it
has been taken over.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hoonify_plugins.usage.record import UsageRecord

SUFFIX = ".journal"
LARGE = 32 * 1024 * 1024
_LENGTH = 4
_LONGEST = 64 * 1024
_CHUNK = 256 * 1024

_decode = msgspec.msgpack.Decoder(UsageRecord).decode


class Journal:
    """The file that this process writes.

    Args:
        folder: Where journals are; made if it is not there.
        large: Bytes after which a new file is begun.
    """

    def __init__(self, folder: Path, large: int = LARGE) -> None:
        self._folder = folder
        self._large = large
        self._encode = msgspec.msgpack.Encoder().encode
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._begin()

    def _begin(self) -> None:
        path = self._folder / f"{secrets.token_hex(12)}{SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)  # for as long as this process lives
        self._size = 0

    def write(self, record: UsageRecord) -> None:
        """Write one record; it is in the file when this returns.

        Raises:
            OSError: It is not.
        """
        body = self._encode(record)
        data = len(body).to_bytes(_LENGTH, "big") + body
        written = os.write(self._file, data)
        if written != len(
            data
        ):  # the disk is full: what follows must not be read as a part of this one
            os.ftruncate(self._file, self._size)
            raise OSError("a usage record could not be written whole")
        self._size += written
        if self._size >= self._large:
            self.close()
            self._begin()

    def close(self) -> None:
        """Close the file; whoever reads it may delete it then."""
        os.close(self._file)


def records_from(path: Path, place: int) -> Iterator[tuple[int, UsageRecord]]:
    """Yield the whole records of a journal from a place on, each with the place after it.

    Raises:
        OSError: It cannot be read.
        ValueError: What stands there is no record.
    """
    with path.open("rb") as file:
        file.seek(place)
        rest = b""
        while chunk := file.read(_CHUNK):
            rest += chunk
            start = 0
            while len(rest) - start >= _LENGTH:
                length = int.from_bytes(rest[start : start + _LENGTH], "big")
                if not 0 < length <= _LONGEST:
                    raise ValueError(f"{path.name} is damaged at {place}")
                if len(rest) - start - _LENGTH < length:
                    break
                try:
                    record = _decode(rest[start + _LENGTH : start + _LENGTH + length])
                except msgspec.MsgspecError as error:
                    raise ValueError(f"{path.name} is damaged at {place}") from error
                start += _LENGTH + length
                place += _LENGTH + length
                yield place, record
            rest = rest[start:]


def has_a_writer(path: Path) -> bool:
    """Tell whether a living process writes to a journal."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
