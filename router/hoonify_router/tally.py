"""What has happened at a home in the last minute, counted in this gateway for a microsecond per request.

Time is cut into slots; a slot that is older than the window is forgotten when the next one begins, or when somebody
looks. Durations are counted in buckets that grow by a twelfth of an octave: a percentile is right within 3 %.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Mapping

from hoonify_router.answer import Answer
from hoonify_router.errors import RouterError
from hoonify_router.types import Usage
from hoonify_router.types.status import WINDOW, ErrorSnapshot, HomeTally, Traffic

_SLOT = 5.0
_SLOTS = int(WINDOW / _SLOT)
_SHORTEST = 1e-5
_PER_OCTAVE = 12
_LAST_BUCKET = 27 * _PER_OCTAVE  # more than 20 minutes
_ERRORS = 5


class _Slot:
    __slots__ = (
        "completion_tokens",
        "failed",
        "itl",
        "number",
        "produced",
        "prompt_tokens",
        "requests",
        "ttft",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests = 0
        self.failed = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.produced = 0.0
        self.ttft: dict[int, int] = {}
        self.itl: dict[int, int] = {}


class Tally:
    """Counts what ends at one home, and looks at what is under way when it is asked.

    Attributes:
        live: The answers that are being written.
        errors: The last failures.
    """

    __slots__ = ("_slot", "_slots", "errors", "live")

    def __init__(self) -> None:
        self.live: set[Answer] = set()
        self.errors: deque[ErrorSnapshot] = deque(maxlen=_ERRORS)
        self._slot = _Slot(-1)
        self._slots: deque[_Slot] = deque(maxlen=_SLOTS)

    def note(
        self, answer: Answer, arrived: float, ended: float, streamed: bool, usage: Usage
    ) -> None:
        """Count a request that has ended.

        Args:
            answer: As it ended.
            arrived: When the request came, by ``time.perf_counter()``.
            ended: When it was over.
            streamed: Whether its answer came piece by piece, so that its times mean something.
            usage: What it has cost.
        """
        completion_tokens = usage.completion_tokens
        number = int(ended / _SLOT)
        slot = self._slot
        if slot.number != number:
            slot = self._slot = _Slot(number)
            self._slots.append(slot)
        slot.requests += 1
        slot.prompt_tokens += usage.prompt_tokens
        slot.completion_tokens += completion_tokens
        first = answer.first_at
        if first is None or not completion_tokens:
            return
        writing = ended - first
        if writing > WINDOW:
            slot.produced += completion_tokens * WINDOW / writing
        else:
            slot.produced += completion_tokens
        if streamed:
            bucket = bucket_of(first - arrived)
            slot.ttft[bucket] = slot.ttft.get(bucket, 0) + 1
            if completion_tokens > 1:
                bucket = bucket_of(writing / (completion_tokens - 1))
                slot.itl[bucket] = slot.itl.get(bucket, 0) + 1

    def note_failure(self, error: RouterError, home: str) -> None:
        """Count a failure of the home's, after ``note``; what it says is not kept, for it may be a client's text."""
        self._slot.failed += 1
        kind = type(error)
        what = (kind.__doc__ or "").partition("\n")[0]
        self.errors.append(ErrorSnapshot(at=time.time(), home=home, kind=kind.__name__, what=what))

    def read(self, in_flight: int = 0, now: float | None = None) -> HomeTally:
        """Return the sums of the window.

        Args:
            in_flight: Requests that are there now.
            now: By ``time.perf_counter()``.
        """
        now = time.perf_counter() if now is None else now
        told = HomeTally(in_flight=in_flight, errors=list(self.errors))
        oldest = int(now / _SLOT) - _SLOTS
        for slot in self._slots:
            if slot.number > oldest:
                told.requests += slot.requests
                told.failed += slot.failed
                told.prompt_tokens += slot.prompt_tokens
                told.completion_tokens += slot.completion_tokens
                told.produced += slot.produced
                _add(told.ttft, slot.ttft)
                _add(told.itl, slot.itl)
        for answer in self.live:
            if answer.first_at is not None:
                writing = now - answer.first_at
                told.produced += answer.pieces * (WINDOW / writing if writing > WINDOW else 1.0)
        return told


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket that a duration falls into."""
    if seconds <= _SHORTEST:
        return 0
    return min(int(math.log2(seconds / _SHORTEST) * _PER_OCTAVE), _LAST_BUCKET)


def percentile(buckets: Mapping[int, int], share: float) -> float | None:
    """Return the duration that ``share`` of all are not longer than, or ``None`` where there are none."""
    left = math.ceil(sum(buckets.values()) * share)
    if not left:
        return None
    bucket = 0
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 0:
            break
    return float(f"{_SHORTEST * 2.0 ** ((bucket + 0.5) / _PER_OCTAVE):.3g}")


def merged(tallies: Iterable[HomeTally]) -> HomeTally:
    """Return the sum of several gateways' or homes' tallies."""
    whole = HomeTally()
    for one in tallies:
        whole.in_flight += one.in_flight
        whole.requests += one.requests
        whole.failed += one.failed
        whole.prompt_tokens += one.prompt_tokens
        whole.completion_tokens += one.completion_tokens
        whole.produced += one.produced
        _add(whole.ttft, one.ttft)
        _add(whole.itl, one.itl)
        if _WORSE[one.breaker] > _WORSE[whole.breaker]:
            whole.breaker = one.breaker
        whole.errors.extend(one.errors)
    return whole


def traffic_of(tally: HomeTally) -> Traffic:
    """Return what a tally says, for people."""
    return Traffic(
        requests=tally.requests,
        failed=tally.failed,
        requests_per_second=round(tally.requests / WINDOW, 2),
        tokens_per_second=round(tally.produced / WINDOW, 1),
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        ttft_p50=percentile(tally.ttft, 0.5),
        ttft_p99=percentile(tally.ttft, 0.99),
        itl_p50=percentile(tally.itl, 0.5),
        itl_p99=percentile(tally.itl, 0.99),
    )


_WORSE = {"closed": 0, "half-open": 1, "open": 2}


def _add(whole: dict[int, int], part: Mapping[int, int]) -> None:
    for bucket, count in part.items():
        whole[bucket] = whole.get(bucket, 0) + count
