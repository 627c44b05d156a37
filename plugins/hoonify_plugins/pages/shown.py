"""Numbers and texts as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

_CODE = re.compile(r"`([^`]+)`")


def marked(text: str) -> Markup:
    """Return text as a page has it, with what stands between backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # escaped before


def tokens(count: int) -> str:
    """Return a context length in short: ``128K``, ``10M``."""
    for unit, sign in ((1024 * 1024, "M"), (1024, "K"), (1_000_000, "M"), (1000, "K")):
        if count >= unit and count % unit == 0:
            return f"{count // unit}{sign}"
    if count >= 1_000_000:
        return f"{count / 1_000_000:.1f}M"
    return f"{count / 1000:.1f}K" if count >= 10_000 else f"{count}"


def number(count: float) -> str:
    """Return a whole number with narrow gaps between its thousands."""
    return f"{count:,.0f}".replace(",", "\u202f")


def price(amount: float) -> str:
    """Return an amount of money: two places, or as many as it takes to tell it from nothing."""
    if amount == 0 or amount >= 0.01:
        return f"{amount:,.2f}".replace(",", "\u202f")
    return f"{amount:.6f}".rstrip("0")


def moment(at: float) -> str:
    """Return a moment in Unix seconds as ISO 8601, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(value: float | None) -> str:
    """Return a duration: ``38 ms``, ``1.24 s``, ``3 min 5 s``."""
    if value is None:
        return "\u2013"
    if value < 0.0995:
        return f"{value * 1000:.1f} ms" if value < 0.00995 else f"{value * 1000:.0f} ms"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
