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
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hoonify_plugins.rate_limits.ledger import WINDOW, Balance, Charge, LimitName, Verdict
from hoonify_plugins.rate_limits.settings import Limits

BUCKETS = 32768  # with 100,000 keys in one minute none is full; the file's holes take no room
ENTRIES = 16
COLUMNS = 64
_KNOWN_PLACES = 1 << 17
_PATIENCE = 2.0
_STEP = 0.02

_TAG = 16
_ENTRY = struct.Struct("<16sQQq")  # tag, window, requests, tokens
_STATE = struct.Struct("<QQq")  # the same without the tag
_COUNTS = struct.Struct(f"<{COLUMNS}i")  # requests under way, by process
_COUNT = struct.Struct("<i")
_OWNER = struct.Struct("<q")  # process id of a column
_HEAD = _TAG + _STATE.size
_ENTRY_SIZE = _HEAD + _COUNTS.size
_BUCKET_SIZE = ENTRIES * _ENTRY_SIZE
_TABLE = COLUMNS * _OWNER.size
_SIZE = _TABLE + BUCKETS * _BUCKET_SIZE
_EMPTY = bytes(_TAG)


class LedgerFull(Exception):
    """A bucket holds live counts of other keys only, or there are more processes than columns."""


class SharedLedger:
    """Counts in a file that several processes map.

    Args:
        path: The file; made if it is not there.
        shared: Whether other processes may count at the same time. One that counts alone takes all locks for as
            long as it lives, instead of one with each request.
    """

    def __init__(self, path: Path, shared: bool = True) -> None:
        self._shared = shared
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._places: dict[bytes, int] = {}  # where an entry was last
        try:
            if os.fstat(self._file).st_size < _SIZE:
                os.ftruncate(self._file, _SIZE)  # sparse: only what is touched takes memory
            self._map = mmap.mmap(self._file, _SIZE)
            if not shared:
                self._lock_all()
            self._column = self._take_column()
            self._own = _HEAD + self._column * _COUNT.size
        except BaseException:
            os.close(self._file)
            raise

    @property
    def uncounted(self) -> tuple[int, int]:
        """Return nothing: memory is always there."""
        return 0, 0

    def admit(self, charges: Sequence[Charge], tokens: int, now: float) -> Verdict:
        """Reserve one request and ``tokens`` with every charge, or with none of them.

        Raises:
            LedgerFull: There is no room to count.
        """
        if len(charges) == 1:
            verdict = self._admit_one(charges[0], tokens, int(now) // WINDOW)
            if verdict is not None:
                return verdict
        buckets = self._lock(charges)
        try:
            window, counts = self._read(charges, now)
            _, requests, used = counts[0]
            for number, (entry, passed, taken) in enumerate(counts):
                limits = charges[number].limits
                refused = self._exhausted(limits, entry, passed, taken, tokens)
                if refused is not None:
                    left = _left(charges[0].limits, requests, used)
                    return Verdict(window, left, refused, number)
            for charge, (entry, passed, taken) in zip(charges, counts, strict=True):
                _STATE.pack_into(self._map, entry + _TAG, window, passed + 1, taken + tokens)
                if charge.limits.concurrent_requests is not None:
                    self._add_under_way(entry, 1)
        finally:
            self._unlock(buckets)
        return Verdict(window, _left(charges[0].limits, requests + 1, used + tokens))

    def settle(
        self, charges: Sequence[Charge], window: int, reserved: int, used: int, now: float
    ) -> None:
        """Replace a reservation by what was used, and end the request's time under way.

        What was reserved in a window that is over is forgotten with it; what was used beyond the reservation
        counts in the present one.
        """
        more = used - reserved
        if len(charges) == 1 and self._settle_one(charges[0], more, window, int(now) // WINDOW):
            return
        buckets = self._lock(charges)
        try:
            present, counts = self._read(charges, now)
            if window != present and more < 0:
                more = 0
            for charge, (entry, requests, tokens) in zip(charges, counts, strict=True):
                if more:
                    tokens = max(0, tokens + more)  # noqa: PLW2901
                    _STATE.pack_into(self._map, entry + _TAG, present, requests, tokens)
                if charge.limits.concurrent_requests is not None:
                    self._add_under_way(entry, -1)
        finally:
            self._unlock(buckets)

    # ------------------------------------------------------------ the fast way

    # Nearly every request has one charge, whose entry is where it was: then all is done in one piece, for a call
    # costs as much as what it does. What is unusual returns to the way above, with nothing changed.

    def _admit_one(self, charge: Charge, tokens: int, window: int) -> Verdict | None:
        tag, limits = charge.tag, charge.limits
        entry = self._places.get(tag)
        if entry is None or limits.concurrent_requests is not None:
            return None
        most, allowed = limits.requests_per_minute, limits.tokens_per_minute
        refused: LimitName | None = None
        bucket = (entry - _TABLE) // _BUCKET_SIZE
        if self._shared:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, bucket)
        try:
            held, then, requests, used = _ENTRY.unpack_from(self._map, entry)
            if held != tag or then == window + 1:
                return None
            if then != window:
                requests = used = 0
            if most is not None and requests >= most:
                refused = "requests"
            elif allowed is not None and used + min(tokens, allowed) > allowed:
                refused = "tokens"
            else:
                requests += 1
                used += tokens
                _STATE.pack_into(self._map, entry + _TAG, window, requests, used)
        finally:
            if self._shared:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, bucket)
        return Verdict(window, _left(limits, requests, used), refused)

    def _settle_one(self, charge: Charge, more: int, window: int, present: int) -> bool:
        tag = charge.tag
        entry = self._places.get(tag)
        if entry is None or charge.limits.concurrent_requests is not None or window != present:
            return False
        if not more:
            return True
        bucket = (entry - _TABLE) // _BUCKET_SIZE
        if self._shared:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, bucket)
        try:
            held, then, requests, used = _ENTRY.unpack_from(self._map, entry)
            if held != tag or then != present:
                return False
            used += more
            _STATE.pack_into(self._map, entry + _TAG, present, requests, used if used > 0 else 0)
        finally:
            if self._shared:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, bucket)
        return True

    def under_way(self, tag: bytes) -> int:
        """Return how many requests of an entry have not been settled."""
        buckets = self._lock([Charge(tag, Limits())])
        try:
            return self._all_under_way(self._find(tag, 0))
        finally:
            self._unlock(buckets)

    def close(self) -> None:
        """Give the column back and unmap the file."""
        _OWNER.pack_into(self._map, self._column * _OWNER.size, 0)
        self._map.close()
        os.close(self._file)

    def _lock_all(self) -> None:
        """Take the locks of all buckets for good; a predecessor may take a moment to be gone."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, BUCKETS, 0)
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise LedgerFull("another process counts here") from None
            time.sleep(_STEP)

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
        offset = _HEAD + column * _COUNT.size
        for entry in self._entries_used():
            if self._map[entry : entry + _TAG] != _EMPTY:
                _COUNT.pack_into(self._map, entry + offset, 0)

    def _entries_used(self) -> Iterator[int]:
        """Yield all entries but those in the file's holes, which nobody has ever written to."""
        entry = _TABLE
        while entry < _SIZE:
            try:
                data = os.lseek(self._file, entry, os.SEEK_DATA)
                end = os.lseek(self._file, data, os.SEEK_HOLE)
            except OSError:  # no more of either
                return
            first = _TABLE + max(0, data - _TABLE) // _ENTRY_SIZE * _ENTRY_SIZE
            for entry in range(max(entry, first), min(end, _SIZE), _ENTRY_SIZE):  # noqa: B020
                yield entry
            entry += _ENTRY_SIZE

    # ------------------------------------------------------------ locks

    @staticmethod
    def _bucket(tag: bytes) -> int:
        return int.from_bytes(tag[:4], "little") % BUCKETS

    def _lock(self, charges: Sequence[Charge]) -> Sequence[int]:
        """Lock the buckets of all charges, always in the same order, so that nobody waits in a circle."""
        buckets: Sequence[int]
        if len(charges) == 1:
            buckets = (self._bucket(charges[0].tag),)
        else:
            buckets = sorted({self._bucket(charge.tag) for charge in charges})
        if self._shared:
            for bucket in buckets:
                fcntl.lockf(self._file, fcntl.LOCK_EX, 1, bucket)
        return buckets

    def _unlock(self, buckets: Sequence[int]) -> None:
        if self._shared:
            for bucket in buckets:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, bucket)

    # ------------------------------------------------------------ entries, under their bucket's lock

    def _find(self, tag: bytes, window: int) -> int:
        """Return where the entry of ``tag`` is; it is made where there is none."""
        entry = self._places.get(tag, -1)
        if (
            entry >= 0 and self._map[entry : entry + _TAG] == tag
        ):  # else others have needed the room
            return entry
        start = _TABLE + self._bucket(tag) * _BUCKET_SIZE
        free = -1
        for entry in range(start, start + _BUCKET_SIZE, _ENTRY_SIZE):
            found = self._map[entry : entry + _TAG]
            if found == tag:
                break
            if free < 0 and (found == _EMPTY or self._is_stale(entry, window)):
                free = entry
        else:
            if free < 0:
                raise LedgerFull("too many keys are in use at the same time")
            entry = free
            _COUNTS.pack_into(self._map, entry + _HEAD, *([0] * COLUMNS))
            _STATE.pack_into(self._map, entry + _TAG, window, 0, 0)
            self._map[entry : entry + _TAG] = tag
        if len(self._places) >= _KNOWN_PLACES:
            self._places.clear()
        self._places[tag] = entry
        return entry

    def _read(
        self, charges: Sequence[Charge], now: float
    ) -> tuple[int, list[tuple[int, int, int]]]:
        """Return the present window, and of each charge its entry, requests and tokens in that window."""
        window = int(now) // WINDOW
        counts = []
        for charge in charges:
            entry = self._find(charge.tag, window)
            then, requests, used = _STATE.unpack_from(self._map, entry + _TAG)
            if then == window + 1:
                # Somebody read the clock after us and was here before us; his counts must not be lost. More than
                # that is no race: the clock was set back.
                return self._read(charges, then * WINDOW)
            counts.append((entry, requests, used) if then == window else (entry, 0, 0))
        return window, counts

    def _is_stale(self, entry: int, window: int) -> bool:
        then: int = _STATE.unpack_from(self._map, entry + _TAG)[0]
        return then < window and self._all_under_way(entry) == 0

    def _exhausted(
        self, limits: Limits, entry: int, requests: int, used: int, tokens: int
    ) -> LimitName | None:
        most = limits.requests_per_minute
        if most is not None and requests >= most:
            return "requests"
        most = limits.tokens_per_minute
        # What may be more than a whole window allows passes in a fresh one, or it could never pass.
        if most is not None and used + min(tokens, most) > most:
            return "tokens"
        most = limits.concurrent_requests
        if most is not None and self._all_under_way(entry) >= most:
            return "concurrent"
        return None

    # ------------------------------------------------------------ requests under way

    def _all_under_way(self, entry: int) -> int:
        return sum(_COUNTS.unpack_from(self._map, entry + _HEAD))

    def _add_under_way(self, entry: int, change: int) -> None:
        place = entry + self._own
        (count,) = _COUNT.unpack_from(self._map, place)
        _COUNT.pack_into(self._map, place, max(0, count + change))


def _left(limits: Limits, requests: int, used: int) -> Balance:
    most, tokens = limits.requests_per_minute, limits.tokens_per_minute
    return Balance(
        None if most is None else max(0, most - requests),
        None if tokens is None else max(0, tokens - used),
    )
