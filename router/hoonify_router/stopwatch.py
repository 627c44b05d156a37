"""How long requests are in each middleware: a look at the clock before and after, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from hoonify_router.api import Middleware, MiddlewareTime

SETTLE = "settle"


class Stopwatch:
    """What one middleware has taken since this process started; the pipeline adds to it.

    Attributes:
        calls: How often it was asked.
        seconds: How long that took altogether, its waiting included.
        settled: How often it has settled.
        settling: How long that took.
        failures: How often it failed, and of those how many ``in_a_row`` until now.
        stalls: How often it held the event loop up.
        off: Why it is not asked any more; empty while it is.
    """

    __slots__ = (
        "calls",
        "failures",
        "in_a_row",
        "off",
        "seconds",
        "settled",
        "settling",
        "stalls",
    )

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 0.0
        self.settled = 0
        self.settling = 0.0
        self.failures = self.in_a_row = self.stalls = 0
        self.off = ""


Stopwatches = dict[Middleware, Stopwatch]


def read(watches: Stopwatches) -> Iterator[MiddlewareTime]:
    """Yield what they show."""
    for one, watch in watches.items():
        phase = one.phase.name.lower()
        faults = watch.failures, watch.stalls, watch.off
        yield MiddlewareTime(one.name, phase, watch.calls, watch.seconds, *faults)
        yield MiddlewareTime(one.name, SETTLE, watch.settled, watch.settling)
