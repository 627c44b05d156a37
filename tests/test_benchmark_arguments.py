"""A benchmark's command line refuses nonsense at once, in one line that says what it wants."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest
from benchmarks.arguments import positive, seconds, some_of


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (positive, "3", 3),
        (seconds, "0.5", 0.5),
        (some_of(["keys", "homes"]), "homes,keys", ["homes", "keys"]),
    ],
)
def test_what_makes_sense_is_read(read: Callable[[str], Any], text: str, value: Any) -> None:
    """As numbers and names."""
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "told"),
    [
        (positive, "0", "at least 1"),
        (positive, "-1", "at least 1"),
        (positive, "x", "at least 1"),
        (positive, "+-1", "at least 1"),
        (seconds, "0", "seconds"),
        (seconds, "nan", "seconds"),
        (seconds, "inf", "seconds"),
        (seconds, "x", "seconds"),
        (some_of(["keys", "homes"]), "keys,hoems", "'hoems' (there are: keys, homes)"),
        (some_of(["keys", "homes"]), "", "there are: keys, homes"),
    ],
)
def test_what_makes_none_is_refused(read: Callable[[str], Any], text: str, told: str) -> None:
    """With what there is, or what it must be."""
    with pytest.raises(argparse.ArgumentTypeError) as refusal:
        read(text)
    assert told in str(refusal.value)
