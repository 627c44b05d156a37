"""The benchmark of usage records runs; what it measures is for people to read."""

from __future__ import annotations

from benchmarks.books import run


def test_each_database_has_a_row() -> None:
    """A few records into each: all arrive, and their costs are told."""
    told: list[str] = []
    table = run(20, 2, told.append, keys=(3,))
    assert table[0]["database"] == "SQLite"
    for row in table:
        assert all(row[name] > 0 for name in ("written_us", "taken_over_us"))  # type: ignore[operator]
    assert len(told) == 1 + len(table)
