"""Charts as SVG: places and sizes only, colours are the style sheet's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from hoonify_plugins.pages.usage_book import Used

WIDTH, HEIGHT = 1050, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 12, 24


@dataclass(frozen=True, slots=True)
class Bar:
    """One day.

    Args:
        x: Where it stands.
        width: How wide it is.
        y_in: Where the tokens of prompts begin, from above.
        height_in: How high they stand.
        y_out: The same for tokens of answers, which stand on them.
        height_out: And their height.
        told: The day in words.
    """

    x: float
    width: float
    y_in: float
    height_in: float
    y_out: float
    height_out: float
    told: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A word at an axis.

    Args:
        x: Where.
        y: Where.
        text: The word.
    """

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Tokens by day.

    Args:
        bars: A bar per day.
        lines: Marks of the upright axis; a line is drawn through each.
        dates: Marks of the other one.
        told: All of it in one sentence.
    """

    bars: Sequence[Bar]
    lines: Sequence[Mark]
    dates: Sequence[Mark]
    told: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT


def by_day(used: Used) -> Chart:
    """Return the chart of what was used on each day."""
    values = [
        (0, 0) if total is None else (total.prompt_tokens, total.completion_tokens)
        for _, total in used.days
    ]
    most = round_up(max(sum(one) for one in values))
    room, step = HEIGHT - _TOP - _BOTTOM, (WIDTH - _LEFT - _RIGHT) / len(values)
    bars = []
    for number, ((day, total), (asked, answered)) in enumerate(zip(used.days, values, strict=True)):
        height_in, height_out = room * asked / most, room * answered / most
        y_in = _TOP + room - height_in
        requests = 0 if total is None else total.requests
        told = f"{_date(day)}: {asked:,} tokens in, {answered:,} out, {requests:,} requests"
        bars.append(
            Bar(
                round(_LEFT + number * step + step * 0.16, 2),
                round(step * 0.68, 2),
                round(y_in, 2),
                round(height_in, 2),
                round(y_in - height_out, 2),
                round(height_out, 2),
                told,
            )
        )
    lines = [
        Mark(_LEFT - 8, round(_TOP + room * (1 - share), 2), _short(most * share))
        for share in (0, 0.5, 1)
    ]
    dates = [
        Mark(round(_LEFT + (number + 0.5) * step, 2), HEIGHT - 6, _date(day))
        for number, (day, _) in enumerate(used.days)
        if (len(values) - 1 - number) % 7 == 0
    ]
    told = f"Tokens on each of the last {len(values)} days: {used.tokens:,} in all."
    return Chart(bars, lines, dates, told)


def round_up(most: float) -> float:
    """Return the next number of the kind 1, 2, 5, 10, 20 …, at least 10."""
    if most <= 10:
        return 10.0
    unit = 10.0 ** math.floor(math.log10(most))
    return next(unit * step for step in (1, 2, 5, 10) if unit * step >= most)


def _short(number: float) -> str:
    for unit, sign in ((1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")):
        if number >= unit:
            return f"{number / unit:.3g}{sign}"
    return f"{number:.3g}"


def _date(day: str) -> str:
    parsed = date.fromisoformat(day)
    return f"{parsed.day} {parsed:%b}"
