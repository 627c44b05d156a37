"""How far a session that loads has come, as far as that can be seen."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from hoonify_router.api import ProgressCallback


async def report_memory(progress: ProgressCallback, interval: float = 1.0) -> None:
    """Tell how much memory the process has while it grows: all that can be seen of a session that loads."""
    reported = 0
    while True:
        await asyncio.sleep(interval)
        size = _resident_mib()
        if size > reported:
            reported = size
            progress("loading weights (MiB in memory)", size, 0)


def _resident_mib() -> int:
    """Return how much memory this process has; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024**2
