"""What the benchmarks' command lines have in common: nonsense is refused before anything is started."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence


def positive(text: str) -> int:
    """Return a whole number of at least 1."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return number


def seconds(text: str) -> float:
    """Return a time of more than 0 and at most an hour."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 3600")
    return number


def some_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Return what reads some of ``names``, parted by commas."""

    def read(text: str) -> list[str]:
        wanted = text.split(",")
        for name in wanted:
            if name not in names:
                there = ", ".join(names)
                raise argparse.ArgumentTypeError(f"there is no {name!r} (there are: {there})")
        return wanted

    return read
