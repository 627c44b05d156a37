"""Numbers that several processes write and any of them reads: one file of cells for each.

To count is to add to eight bytes of shared memory: no lock, no copy, and what is counted survives the kill of its
process. A process claims the first file that nobody holds, goes on counting there, and holds it by a lock
that the kernel gives back when the process dies; so there are never more files than processes at a time.

A file is a head (magic, bytes in use) and records, each of them: length of the description, number of cells, the
description as JSON, the cells as doubles. Records are appended and never move.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    Cells: TypeAlias = memoryview[float]
else:
    Cells = memoryview

_MAGIC = int.from_bytes(b"HOOCELL1", "little")
_HEAD = 16
_RECORD = struct.Struct("=II")
_SIZE = 1 << 20  # sparse: what is not used costs nothing
_LARGEST = 64 << 20
_LOCK = "claims.lock"


class Description(Struct, array_like=True, frozen=True):
    """What the cells of a record tell.

    Args:
        name: The metric's name.
        kind: Its kind; a histogram has a cell per bucket, one for what is above all of them, and the sum.
        help: What it tells.
        labels: Names of its labels.
        values: Theirs.
        bounds: A histogram's upper bounds.
        join: How the numbers of several processes become one; gauges of the dead do not count.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    join: Literal["sum", "max"] = "sum"

    @property
    def size(self) -> int:
        """Return how many cells it has."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


_decode = msgspec.json.Decoder(Description).decode


class Board:
    """This process's file; written by one thread only.

    Args:
        folder: Where all files are.

    Attributes:
        slot: Number of the file: small, and the same again after a restart.
    """

    def __init__(self, folder: Path) -> None:
        self._file, self.slot = _claim(folder)
        self._size = max(os.fstat(self._file).st_size, _SIZE)
        os.ftruncate(self._file, self._size)
        self._known: dict[Description, Cells] = {}
        self._map()
        if self._head[0] == _MAGIC:
            self._used = int(self._head[1])
            self._take_over()
        else:
            self._used = self._head[1] = _HEAD
            self._head[0] = _MAGIC

    def cells(self, description: Description) -> Cells:
        """Return the cells of this description; they start at 0 and stay the same for good.

        A file that is full, which no sane set of labels makes it, counts no further series.
        """
        known = self._known.get(description)
        if known is None:
            known = self._known[description] = self._append(description)
        return known

    def close(self) -> None:
        """Give the file back; its counts stay, its gauges are of nobody."""
        fcntl.flock(self._file, fcntl.LOCK_UN)  # maps hold the file open for as long as they live
        os.close(self._file)

    def _map(self) -> None:
        # Earlier maps stay good: they show the same file.
        self._bytes = mmap.mmap(self._file, self._size)
        view = memoryview(self._bytes)
        self._doubles = view.cast("d")
        self._head = view[:_HEAD].cast("Q")

    def _take_over(self) -> None:
        for description, cells in _records(self._bytes, self._used):
            self._known[description] = cells
            if description.kind == "gauge":
                cells[0] = 0.0

    def _append(self, description: Description) -> Cells:
        text = msgspec.json.encode(description)
        text += b" " * (-len(text) % 8)
        head = self._used
        start = head + _RECORD.size + len(text)
        end = start + 8 * description.size
        while end > self._size:
            if self._size >= _LARGEST:
                return memoryview(bytearray(8 * description.size)).cast("d")
            self._size *= 2
            os.ftruncate(self._file, self._size)
            self._map()
        self._bytes[head:start] = _RECORD.pack(len(text), description.size) + text
        self._head[1] = self._used = end  # only now can others see it
        return self._doubles[start // 8 : end // 8]


def read_boards(folder: Path) -> Iterator[tuple[bool, Description, list[float]]]:
    """Yield every record of every file: whether its process lives, what it tells, its cells."""
    for path in sorted(folder.glob("*.cells")):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _HEAD:
                continue  # claimed a moment ago
            alive = _is_held(folder, file.fileno())
            data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
            magic, used = memoryview(data)[:_HEAD].cast("Q").tolist()
            if magic == _MAGIC:
                for description, cells in _records(data, used):
                    yield alive, description, list(cells)


def _records(data: mmap.mmap, used: int) -> Iterator[tuple[Description, Cells]]:
    doubles = memoryview(data).cast("d")
    at = _HEAD
    while at < used:
        length, count = _RECORD.unpack_from(data, at)
        start = at + _RECORD.size + length
        at = start + 8 * count
        yield _decode(data[start - length : start]), doubles[start // 8 : at // 8]


# ---------------------------------------------------------------- who holds which file


def _claim(folder: Path) -> tuple[int, int]:
    """Return a file that nobody holds, held, and its number."""
    with _claims(folder):
        slot = 0
        while True:
            file = os.open(folder / f"{slot}.cells", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                slot += 1
            else:
                return file, slot


def _is_held(folder: Path, file: int) -> bool:
    with _claims(folder):  # or a process that claims could take this look for a holder
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(file, fcntl.LOCK_UN)
        return False


@contextlib.contextmanager
def _claims(folder: Path) -> Iterator[None]:
    file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
