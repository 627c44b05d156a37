"""Lengths of time as people write them."""

from __future__ import annotations

import pytest

from hoonify_router.config.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("30s", 30.0),
        ("30 s", 30.0),
        ("250ms", 0.25),
        ("15m", 900.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
    ],
)
def test_a_number_with_a_unit_is_seconds(text: str, seconds: float) -> None:
    """Without a unit it counts seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "-5s", "15 minutes", "1h30m", "5S", "1e3", "٣s", ".5s", "9" * 13, "5s\n"]
)
def test_anything_else_is_none(text: str) -> None:
    """No guessing."""
    assert parse_duration(text) is None
