"""Whoever tries keys gets slower answers: the more wrong ones came from an address, the longer each takes."""

from __future__ import annotations

_FREE = 5  # wrong keys of one address that cost nothing: somebody is setting up a client
_FIRST = 0.1
_LONGEST = 5.0
_FORGET = 300.0  # seconds without a wrong key
_KNOWN = 4096


class Patience:
    """Remembers who has sent wrong keys; bounded, the oldest are forgotten."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}

    def delay(self, address: str, now: float) -> float:
        """Return how many seconds the answer to one more wrong key from ``address`` shall take.

        Args:
            address: Where it came from.
            now: Seconds of any monotonic clock.
        """
        count, at = self._seen.pop(address, (0, now))
        if now - at > _FORGET:
            count = 0
        count += 1
        if len(self._seen) >= _KNOWN:
            del self._seen[next(iter(self._seen))]
        self._seen[address] = (count, now)
        if count <= _FREE:
            return 0.0
        return float(min(_LONGEST, _FIRST * 2 ** min(count - _FREE - 1, 10)))
