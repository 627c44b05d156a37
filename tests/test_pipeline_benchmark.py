"""The benchmark of the pipeline runs; what it measures is for people to read."""

from __future__ import annotations

from benchmarks.pipeline import FULL, run


async def test_each_plugin_has_a_row() -> None:
    """A few requests through each pipeline: all are answered, and all costs are told."""
    told: list[str] = []
    costs = await run(20, 1, told.append)
    assert list(costs) == ["empty", *FULL]
    assert all(cost > 0 for cost in costs.values())
    assert len(told) == len(FULL) + 3
