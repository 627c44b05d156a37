"""The benchmark of tokens runs; what it measures is for people to read."""

from __future__ import annotations

from benchmarks.chunks import run


async def test_each_way_has_a_row() -> None:
    """A few tokens each way: all costs are told."""
    told: list[str] = []
    costs = await run(32, 1, told.append)
    assert all(0 < cost < float("inf") for cost in costs.values())
    assert len(told) == len(costs) + 1
