"""Signs of life while an engine is imported: the first time that compiles its kernels, for minutes and in silence."""

from __future__ import annotations

import asyncio

from hoonify_router.api import ProgressCallback

IMPORTING = "importing the engine (seconds; the first time compiles its kernels, for minutes)"
"""The stage of a load in which it is imported."""


class ImportProgress:
    """Passes progress on, and counts seconds while the engine is imported, so that this is not taken for a stall.

    Args:
        progress: Told of both.
        interval: Seconds between two signs.
    """

    def __init__(self, progress: ProgressCallback, interval: float = 5.0) -> None:
        self._progress = progress
        self._interval = interval
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Pass on how far the load has come; from any thread."""
        self._stage = stage
        self._progress(stage, done, total)

    async def count(self) -> None:
        """Count until cancelled."""
        seconds = 0.0
        while True:
            await asyncio.sleep(self._interval)
            if self._stage == IMPORTING:
                seconds += self._interval
                self._progress(IMPORTING, int(seconds), 0)
