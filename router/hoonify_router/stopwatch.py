"""How long requests are in each middleware: a look at the clock before and after, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hoonify_router.api import Middleware, MiddlewareTime

SETTLE = "settle"


class Stopwatch:
    """What one middleware has taken since this process started; the pipeline adds to it.

    Attributes:
        calls: How often it was asked.
        seconds: How long that took altogether, its waiting included.
        settled: How often it has settled.
        settling: How long that took.
    """

    __slots__ = ("calls", "seconds", "settled", "settling")

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 0.0
        self.settled = 0
        self.settling = 0.0


Stopwatches = dict[Middleware, Stopwatch]


def stopwatches(middleware: Iterable[Middleware]) -> Stopwatches:
    """Return one for each."""
    return {one: Stopwatch() for one in middleware}


def read(watches: Stopwatches) -> Iterator[MiddlewareTime]:
    """Yield what they show."""
    for one, watch in watches.items():
        yield MiddlewareTime(one.name, one.phase.name.lower(), watch.calls, watch.seconds)
        yield MiddlewareTime(one.name, SETTLE, watch.settled, watch.settling)
