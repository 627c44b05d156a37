"""A look at this gateway, again and again: how late its loop is, and what the router tells of it."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable

from hoonify_plugins.metrics import instruments as told
from hoonify_plugins.metrics.board import Board, Description
from hoonify_plugins.metrics.instruments import Histogram, Metric
from hoonify_plugins.metrics.stalls import StallWatch
from hoonify_router.api import HomeVitals, Measurement, Vitals

log = logging.getLogger(__name__)

BEAT = 0.1
_BEATS_PER_LOOK = 10
_BREAKERS = ("closed", "open", "half-open")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_MOST_MEASUREMENTS = 1000
_OWN_NAMES = frozenset(metric.name for metric in told.METRICS)


class LoopWatch:
    """Measures the event loop's lag with one cheap timer, and takes the gateway's vitals down once a second.

    Args:
        board: Where to.
        vitals: Tells how the gateway does.
    """

    def __init__(self, board: Board, vitals: Callable[[], Vitals]) -> None:
        self._board = board
        self._vitals = vitals
        self._lag = Histogram(board, told.LOOP_LAG, str(board.slot))
        self._stalls = StallWatch(board, BEAT)
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._beats = 0
        self._measured: set[Description] = set()
        self._ignored: set[str] = set()
        self._before: dict[Description, float] = {}

    def start(self) -> None:
        """Begin; called on the loop."""
        self._stalls.start()
        self._wait()

    def stop(self) -> None:
        """Take a last look and end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.look()
        self._stalls.stop()

    def look(self) -> None:
        """Take the vitals down."""
        vitals = self._vitals()
        for home in vitals.homes:
            self._take_home(home)
        for one in vitals.middleware:
            self._count(told.PLUGIN_CALLS, one.calls, one.name, one.phase)
            self._count(told.PLUGIN_SECONDS, one.seconds, one.name, one.phase)
            if one.phase != "settle":
                self._count(told.PLUGIN_FAILURES, one.failures, one.name)
                self._set(told.PLUGIN_OFF, float(bool(one.off)), one.name)
        self._count(told.UNTRUTHFUL_STREAMS, vitals.cut_streams)
        for measurement in vitals.measurements:
            self._measure(measurement)

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + BEAT
        self._timer = loop.call_at(self._due, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._stalls.beat = time.monotonic()
        self._lag.observe(max(0.0, loop.time() - self._due))
        self._beats += 1
        if self._beats % _BEATS_PER_LOOK == 0:
            self.look()
        self._wait()

    def _take_home(self, vitals: HomeVitals) -> None:
        labels = vitals.home.model, vitals.home.id
        self._set(told.HOME_IN_FLIGHT, vitals.in_flight, *labels)
        for state in _BREAKERS:
            self._set(told.HOME_BREAKERS, float(vitals.breaker == state), *labels, state)
        if vitals.load is not None:
            self._set(told.HOME_QUEUED, vitals.load.running, *labels, "running")
            self._set(told.HOME_QUEUED, vitals.load.queued, *labels, "queued")

    def _measure(self, one: Measurement) -> None:
        """Take a plugin's own number; one that cannot be told is left out, and its name is logged once."""
        names, values = tuple(one.labels), tuple(map(str, one.labels.values()))
        description = Description(one.name, one.kind, one.help, names, values)
        if description not in self._measured:
            clashes = one.name in _OWN_NAMES
            sane = all(_NAME.fullmatch(name) for name in (one.name, *names))
            ends_well = one.kind != "counter" or one.name.endswith("_total")
            if clashes or not sane or not ends_well or len(self._measured) >= _MOST_MEASUREMENTS:
                if one.name not in self._ignored and len(self._ignored) < _MOST_MEASUREMENTS:
                    self._ignored.add(one.name)
                    log.warning("a plugin's measurement %.100r cannot be told", one.name)
                return
            self._measured.add(description)
        if one.kind == "counter":
            self._add(description, one.value)
        else:
            self._board.cells(description)[0] = one.value

    def _set(self, metric: Metric, value: float, *values: str) -> None:
        self._board.cells(metric.describe(*values))[0] = value

    def _count(self, metric: Metric, total: float, *values: str) -> None:
        self._add(metric.describe(*values), total)

    def _add(self, description: Description, total: float) -> None:
        """Add what has come since the last look: the cells may hold the counts of an earlier process."""
        before = self._before.get(description, 0.0)
        if total > before:
            self._board.cells(description)[0] += total - before
        self._before[description] = total
