"""Times as people write them."""

from __future__ import annotations

import pytest

from hoonify_router.config.times import parse_day, parse_duration


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
def test_no_other_text_is_a_duration(text: str) -> None:
    """No guessing."""
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-01", 0), ("2025-07-21", 1753056000), ("2024-02-29", 1709164800)],
)
def test_a_day_is_unix_time(text: str, seconds: int) -> None:
    """It begins at midnight in UTC."""
    assert parse_day(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "2025", "2025-7-1", "2025-02-29", "1969-12-31", "0000-01-01", "2025-07-21T00:00"]
)
def test_no_other_text_is_a_day(text: str) -> None:
    """No guessing either."""
    assert parse_day(text) is None
