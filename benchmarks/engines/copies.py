"""What the steps of running answers allocate, counted by tracemalloc, in rows of scores."""

from __future__ import annotations

import tracemalloc
from typing import Any

from benchmarks.engines.ways import SchedulerAlone

_STEPS = 24


def rows_allocated(way: SchedulerAlone, streams: int, wishes: dict[str, Any]) -> float:
    """Return the most memory that a step has at once beyond what it found, per answer.

    Args:
        way: Its model has been loaded.
        streams: Answers that run.
        wishes: How they are sampled.

    Returns:
        In rows of scores: 1.0 is a copy of the scores of each answer, as 32-bit numbers.
    """
    scheduler = way.scheduler(streams, wishes)
    for _ in range(streams + _STEPS):  # all prompts are read, all bindings made
        scheduler.step()
    most = 0
    tracemalloc.start()
    try:
        for _ in range(_STEPS):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            scheduler.step()
            most = max(most, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return most / streams / (4 * way.loaded.model.vocabulary)
