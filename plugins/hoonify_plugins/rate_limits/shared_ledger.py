"""Counts in memory that all gateway processes of one machine share, exact without any server.

A file in the router's runtime folder is mapped by every gateway. It is a table of buckets with a few entries each;
a key's entry is found by its tag. A bucket is changed only under a lock on one byte of the file, which the
kernel gives back when a process dies. Requests under way are counted per process, in a column of its own; each process
holds a lock on its column for as long as it lives, so that the next one finds and clears what a killed one left.

Why not a library: those that count across processes do it in a server, and those that count in memory do it in one
process; none reserves tokens and settles them later in the same step as it counts requests.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from hoonify_plugins.rate_limits.ledger import WINDOW, Balance, Charge, Verdict

BUCKETS = 4096
ENTRIES = 16
COLUMNS = 64

_ENTRY = struct.Struct("<16sQQq")  # tag, window, requests, tokens
_COUNTS = struct.Struct(f"<{COLUMNS}i")  # requests under way, by process
_COUNT = struct.Struct("<i")
_OWNER = struct.Struct("<q")  # process id of a column
_ENTRY_SIZE = _ENTRY.size + _COUNTS.size
_BUCKET_SIZE = ENTRIES * _ENTRY_SIZE
_TABLE = COLUMNS * _OWNER.size
_SIZE = _TABLE + BUCKETS * _BUCKET_SIZE
_EMPTY = bytes(16)


class LedgerFull(Exception):
    """A bucket holds live counts of other keys only, or there are more processes than columns."""


class SharedLedger:
    """Counts in a file that several processes map.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(self._file).st_size < _SIZE:
                os.ftruncate(self._file, _SIZE)  # sparse: only what is touched takes memory
            self._map = mmap.mmap(self._file, _SIZE)
            self._column = self._take_column()
        except BaseException:
            os.close(self._file)
            raise

    def admit(self, charges: Sequence[Charge], tokens: int, now: float) -> Verdict:
        """Reserve one request and ``tokens`` with every charge, or with none of them.

        Raises:
            LedgerFull: There is no room to count.
        """
        window = int(now) // WINDOW
        buckets = self._lock(charges)
        try:
            entries: list[int] = []
            for charge in charges:
                entries.append(self._find(charge.tag, window, entries))
            for number, (charge, entry) in enumerate(zip(charges, entries, strict=True)):
                refused = self._exhausted(charge, entry, window, tokens)
                if refused is not None:
                    left = self._left(charges[0], entries[0], window)
                    return Verdict(window, left, refused, number)  # type: ignore[arg-type]
            for charge, entry in zip(charges, entries, strict=True):
                requests, used = self._counts(entry, window)
                self._write(entry, charge.tag, window, requests + 1, used + tokens)
                self._add_under_way(entry, 1)
            return Verdict(window, self._left(charges[0], entries[0], window))
        finally:
            self._unlock(buckets)

    def settle(
        self, charges: Sequence[Charge], window: int, reserved: int, used: int, now: float
    ) -> None:
        """Replace a reservation by what was used, and end the request's time under way.

        What was reserved in a window that is over is forgotten with it; what was used beyond the reservation
        counts in the present one.
        """
        present = int(now) // WINDOW
        buckets = self._lock(charges)
        try:
            for charge in charges:
                entry = self._find(charge.tag, present)
                requests, tokens = self._counts(entry, present)
                more = used - reserved if window == present else max(0, used - reserved)
                self._write(entry, charge.tag, present, requests, max(0, tokens + more))
                self._add_under_way(entry, -1)
        finally:
            self._unlock(buckets)

    def under_way(self, tag: bytes) -> int:
        """Return how many requests of an entry have not been settled."""
        bucket = self._bucket(tag)
        self._lock_bucket(bucket)
        try:
            entry = self._find(tag, 0)
            return self._all_under_way(entry)
        finally:
            self._unlock([bucket])

    def close(self) -> None:
        """Give the column back and unmap the file."""
        _OWNER.pack_into(self._map, self._column * _OWNER.size, 0)
        self._map.close()
        os.close(self._file)

    # ------------------------------------------------------------ columns

    def _take_column(self) -> int:
        """Return a column that no living process counts in, with all its counts at zero."""
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, BUCKETS)
        try:
            for column in range(COLUMNS):
                place = column * _OWNER.size
                (owner,) = _OWNER.unpack_from(self._map, place)
                if owner != os.getpid() and self._hold_column(column):
                    if owner:
                        self._clear_column(column)
                    _OWNER.pack_into(self._map, place, os.getpid())
                    return column
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, BUCKETS)
        raise LedgerFull(f"more than {COLUMNS} processes count here")

    def _hold_column(self, column: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, BUCKETS + 1 + column)
        except OSError:
            return False
        return True

    def _clear_column(self, column: int) -> None:
        offset = _ENTRY.size + column * _COUNT.size
        for entry in range(_TABLE, _SIZE, _ENTRY_SIZE):
            if self._map[entry : entry + 16] != _EMPTY:
                _COUNT.pack_into(self._map, entry + offset, 0)

    # ------------------------------------------------------------ locks

    @staticmethod
    def _bucket(tag: bytes) -> int:
        return int.from_bytes(tag[:4], "little") % BUCKETS

    def _lock(self, charges: Sequence[Charge]) -> list[int]:
        """Lock the buckets of all charges, always in the same order, so that nobody waits in a circle."""
        if len(charges) == 1:
            buckets = [self._bucket(charges[0].tag)]
        else:
            buckets = sorted({self._bucket(charge.tag) for charge in charges})
        for bucket in buckets:
            self._lock_bucket(bucket)
        return buckets

    def _lock_bucket(self, bucket: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, bucket)

    def _unlock(self, buckets: list[int]) -> None:
        for bucket in buckets:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, bucket)

    # ------------------------------------------------------------ entries, under their bucket's lock

    def _find(self, tag: bytes, window: int, taken: Sequence[int] = ()) -> int:
        """Return where the entry of ``tag`` is, or where it may be made, which is not one of ``taken``."""
        start = _TABLE + self._bucket(tag) * _BUCKET_SIZE
        free = -1
        for entry in range(start, start + _BUCKET_SIZE, _ENTRY_SIZE):
            found = self._map[entry : entry + 16]
            if found == tag:
                return entry
            if entry in taken:
                continue
            if free < 0 and (found == _EMPTY or self._is_stale(entry, window)):
                free = entry
            if found == _EMPTY:
                break
        if free < 0:
            raise LedgerFull("too many keys are in use at the same time")
        return free

    def _is_stale(self, entry: int, window: int) -> bool:
        then: int = _ENTRY.unpack_from(self._map, entry)[1]
        return then < window and self._all_under_way(entry) == 0

    def _counts(self, entry: int, window: int) -> tuple[int, int]:
        """Return requests and tokens of ``window``; of any other window nothing counts any more."""
        _, then, requests, tokens = _ENTRY.unpack_from(self._map, entry)
        return (requests, tokens) if then == window else (0, 0)

    def _write(self, entry: int, tag: bytes, window: int, requests: int, tokens: int) -> None:
        if self._map[entry : entry + 16] != tag:  # a new entry in the place of a stale one
            _COUNTS.pack_into(self._map, entry + _ENTRY.size, *([0] * COLUMNS))
        _ENTRY.pack_into(self._map, entry, tag, window, requests, tokens)

    def _exhausted(self, charge: Charge, entry: int, window: int, tokens: int) -> str | None:
        limits = charge.limits
        same = self._map[entry : entry + 16] == charge.tag
        requests, used = self._counts(entry, window) if same else (0, 0)
        if limits.requests_per_minute is not None and requests >= limits.requests_per_minute:
            return "requests"
        allowed = limits.tokens_per_minute
        # What may be more than a whole window allows passes in a fresh one, or it could never pass.
        if allowed is not None and used + min(tokens, allowed) > allowed:
            return "tokens"
        most = limits.concurrent_requests
        if most is not None and same and self._all_under_way(entry) >= most:
            return "concurrent"
        return None

    def _left(self, charge: Charge, entry: int, window: int) -> Balance:
        limits = charge.limits
        same = self._map[entry : entry + 16] == charge.tag
        requests, used = self._counts(entry, window) if same else (0, 0)
        allowed, tokens = limits.requests_per_minute, limits.tokens_per_minute
        return Balance(
            None if allowed is None else max(0, allowed - requests),
            None if tokens is None else max(0, tokens - used),
        )

    # ------------------------------------------------------------ requests under way

    def _all_under_way(self, entry: int) -> int:
        return sum(_COUNTS.unpack_from(self._map, entry + _ENTRY.size))

    def _add_under_way(self, entry: int, change: int) -> None:
        place = entry + _ENTRY.size + self._column * _COUNT.size
        (count,) = _COUNT.unpack_from(self._map, place)
        _COUNT.pack_into(self._map, place, max(0, count + change))
