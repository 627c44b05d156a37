"""Who holds the event loop up: a thread looks at it, and names the plugin whose code runs when it stands still."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from importlib.metadata import entry_points
from types import FrameType

from hoonify_plugins.metrics.board import Board, Cells
from hoonify_plugins.metrics.instruments import STALLS
from hoonify_router.api import ENTRY_POINT_GROUP

log = logging.getLogger(__name__)

STALL = 0.2
"""Seconds without a beat, beyond the one that is due, that count as a stall."""

_ROUTER = "router"
_OTHER = "other"
_TELL_EVERY = 10.0


class StallWatch:
    """Counts stalls of the loop that beats, by plugin.

    Requests pay nothing for it: the thread looks at a clock a few times a second, and at the stack of the loop's
    thread only when that stands still.

    Args:
        board: Where to count.
        interval: Seconds between beats.

    Attributes:
        beat: ``time.monotonic()`` of the loop's last beat.
    """

    def __init__(self, board: Board, interval: float) -> None:
        self._board = board
        self._interval = interval
        self._homes = {
            point.value.partition(":")[0]: point.name
            for point in entry_points(group=ENTRY_POINT_GROUP)
        }
        self._over = threading.Event()
        self._told = -math.inf
        self._counted = 0.0
        self.beat = 0.0
        for plugin in {*self._homes.values(), _ROUTER, _OTHER}:
            self._cells(plugin)  # the board is not made for two threads to append to

    def start(self) -> None:
        """Begin to watch the thread that calls this."""
        self.beat = time.monotonic()
        watched = threading.get_ident()
        threading.Thread(target=self._run, args=(watched,), name="stalls", daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._over.set()

    def look(self, watched: int) -> None:
        """Count a stall of this thread, if there is one that is not counted yet; called by another thread."""
        beat = self.beat
        late = time.monotonic() - beat - self._interval
        if late < STALL or beat == self._counted:
            return
        frame = sys._current_frames().get(watched)
        if frame is None or self._over.is_set():
            return
        self._counted = beat
        plugin, where = self._blame(frame)
        self._cells(plugin)[0] += 1.0
        if beat > self._told + _TELL_EVERY:
            self._told = beat
            told = "the event loop has stood still for %.1f s, in %s (%s)"
            log.warning(told, late, plugin, where)

    def _run(self, watched: int) -> None:
        while not self._over.wait(self._interval):
            self.look(watched)

    def _cells(self, plugin: str) -> Cells:
        return self._board.cells(STALLS.describe(plugin))

    def _blame(self, frame: FrameType) -> tuple[str, str]:
        """Return the plugin that is innermost on the stack, and where it is."""
        inside: FrameType | None = frame
        ours = ""
        while inside is not None:
            module = str(inside.f_globals.get("__name__", ""))
            where = f"{module}:{inside.f_lineno}"
            plugin = self._plugin_of(module)
            if plugin:
                return plugin, where
            if not ours and module.startswith("hoonify_router."):
                ours = where
            inside = inside.f_back
        innermost = f"{frame.f_globals.get('__name__')}:{frame.f_lineno}"
        return (_ROUTER, ours) if ours else (_OTHER, innermost)

    def _plugin_of(self, module: str) -> str:
        while module:
            if module in self._homes:
                return self._homes[module]
            module = module.rpartition(".")[0]
        return ""
