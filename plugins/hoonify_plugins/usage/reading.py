"""Read what gateways have written into their journals, many records at a time."""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hoonify_plugins.usage.journal import LENGTH, LONGEST
from hoonify_plugins.usage.record import Row

_CHUNK = 256 * 1024

_decode = msgspec.msgpack.Decoder(Row).decode
_length_in = struct.Struct("=I").unpack_from


@dataclass(frozen=True, slots=True)
class Reading:
    """What stands in a journal between two places.

    Args:
        journal: Its name.
        since: Where reading began.
        place: Where the next record will stand.
        rows: The records.
        damaged: What stands at ``place`` is no record.
    """

    journal: str
    since: int
    place: int
    rows: list[Row]
    damaged: bool = False


def read_journal(path: Path, since: int, most: int) -> Reading:
    """Return the whole records of a journal from a place on.

    Args:
        path: The journal.
        since: The place.
        most: How many records at most.

    Raises:
        OSError: It cannot be read.
    """
    rows: list[Row] = []
    place = since
    with path.open("rb", buffering=0) as file:
        while len(rows) < most:
            file.seek(place)
            chunk = file.read(_CHUNK)
            taken, damaged = _take_rows(chunk, rows, most)
            place += taken
            if damaged or not taken:
                return Reading(path.stem, since, place, rows, damaged)
    return Reading(path.stem, since, place, rows)


def _take_rows(chunk: bytes, rows: list[Row], most: int) -> tuple[int, bool]:
    """Add the whole records at the beginning of ``chunk``; return their size, and whether no record follows."""
    at, size, room = 0, len(chunk) - LENGTH, most - len(rows)
    add = rows.append
    while at <= size and room:
        (length,) = _length_in(chunk, at)
        start = at + LENGTH
        end = start + length
        if length == 0 or end > len(chunk):
            return at, length > LONGEST
        try:
            add(_decode(chunk[start:end]))
        except msgspec.MsgspecError:
            return at, True
        at = (end + LENGTH - 1) & -LENGTH
        room -= 1
    return at, False


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
