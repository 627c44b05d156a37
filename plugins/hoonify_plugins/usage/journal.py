"""A gateway's own file of usage records: each is in it, whole, before the client sees the end of its answer.

The file is mapped into memory, so that to write a record costs no call of the system; it is in the kernel's hands all
the same, and stays when the process is killed. The supervisor takes the records over into the database, many at once
(``reading.py``, ``collector.py``); a file whose writer is gone is deleted when all of it has been taken over.

A record stands at a multiple of four bytes: its length in four bytes, in this machine's order, then the record. The
length is written last and in one piece: who finds another one than 0 finds the whole record behind it.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import secrets
from pathlib import Path

import msgspec

from hoonify_plugins.usage.record import Row

SUFFIX = ".journal"
LENGTH = 4
LONGEST = 64 * 1024
_LARGE = 32 * 1024 * 1024
_WINDOW = 256 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Journal:
    """The file that this process writes.

    Args:
        folder: Where journals are; made if it is not there.
        large: Bytes after which a new file is begun.
        window: Bytes of it that are in memory: whole pages of the system, one more than a record may need.
    """

    def __init__(self, folder: Path, large: int = _LARGE, window: int = _WINDOW) -> None:
        self._folder = folder
        self._large = large
        self._room = window
        self._encode = msgspec.msgpack.Encoder().encode
        self._mapped: mmap.mmap | None = None
        self._window = memoryview(b"")
        self._lengths = self._window
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._begin()

    def _begin(self) -> None:
        path = self._folder / f"{secrets.token_hex(12)}{SUFFIX}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        new = path.with_suffix(".new")
        self._file = os.open(new, flags, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)  # for as long as this process lives
        new.rename(path)  # whoever can see it finds it locked
        self._base = self._at = self._end = 0  # the first record looks for room

    def write(self, row: Row) -> None:
        """Write one record; it is in the file when this returns.

        Raises:
            OSError: It is not.
        """
        body = self._encode(row)
        length = len(body)
        start = self._at + LENGTH
        after = (start + length + LENGTH - 1) & -LENGTH
        if after > self._end:
            self._make_room(length)
            start = self._at + LENGTH
            after = (start + length + LENGTH - 1) & -LENGTH
        self._window[start : start + length] = body
        self._lengths[self._at >> 2] = length
        if self._mapped is None:
            self._write_through(after)
        self._at = after

    def _make_room(self, length: int) -> None:
        if length > LONGEST:
            raise OSError(errno.EMSGSIZE, "a usage record is too long")
        place = self._base + self._at
        if place >= self._large:
            self.close()
            self._begin()
            place = 0
        self._look_at(place)

    def _look_at(self, place: int) -> None:
        """Have what follows ``place`` in memory, and on the disk room for it."""
        base = place - place % mmap.ALLOCATIONGRANULARITY
        mapped = self._map(base)
        window = memoryview(bytearray(self._room) if mapped is None else mapped)
        self._let_go()
        self._base, self._at, self._end = base, place - base, self._room
        self._mapped, self._window, self._lengths = mapped, window, window.cast("I")

    def _map(self, base: int) -> mmap.mmap | None:
        """Return a part of the file in memory; ``None`` where the system or the file system cannot do that."""
        if not hasattr(os, "posix_fallocate"):  # macOS
            return None
        try:
            # A page that the disk had no room for would kill this process when it is written.
            os.posix_fallocate(self._file, base, self._room)
            return mmap.mmap(self._file, self._room, offset=base)
        except OSError as error:
            if error.errno in _FULL:
                raise
            return None

    def _write_through(self, after: int) -> None:
        piece = self._window[self._at : after]
        written = os.pwrite(self._file, piece, self._base + self._at)
        if written != len(piece):  # the disk is full: nobody must read it as a whole one
            os.ftruncate(self._file, self._base + self._at)
            raise OSError(errno.ENOSPC, "a usage record could not be written whole")

    def _let_go(self) -> None:
        self._lengths.release()
        self._window.release()
        if self._mapped is not None:
            self._mapped.close()
            self._mapped = None

    def close(self) -> None:
        """Close the file; whoever reads it may delete it then."""
        self._let_go()
        os.ftruncate(self._file, self._base + self._at)
        os.close(self._file)
