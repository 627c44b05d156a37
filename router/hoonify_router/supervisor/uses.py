"""Who uses which home, as the gateways tell it: what is busy, and since when nobody has come."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

Counts = Mapping[str, tuple[int, int]]
"""By home: requests that are there now, and requests that have ever gone there."""


class Uses:
    """Adds up what all gateways tell. A gateway that is gone takes its requests along, not the time of the last one."""

    def __init__(self) -> None:
        self._told: dict[Hashable, dict[str, tuple[int, int]]] = {}
        self._last: dict[str, float] = {}

    def hear(self, gateway: Hashable, counts: Counts, now: float) -> None:
        """Take a gateway's counts of the homes that it has anything new to tell of."""
        known = self._told.setdefault(gateway, {})
        for home, (in_flight, served) in counts.items():
            if in_flight or known.get(home, (0, 0)) != (in_flight, served):
                self._last[home] = now
            known[home] = (in_flight, served)

    def forget(self, gateway: Hashable, now: float) -> None:
        """Forget a gateway that is gone."""
        for home, (in_flight, _) in self._told.pop(gateway, {}).items():
            if in_flight:
                self._last[home] = now

    def in_flight(self, home: str) -> int:
        """Return how many requests the gateways have at a home."""
        return sum(told[home][0] for told in self._told.values() if home in told)

    def last(self, home: str) -> float:
        """Return when a home was last seen at work, on the clock of ``hear``; long ago if never."""
        return self._last.get(home, -math.inf)
