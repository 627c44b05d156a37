"""How a text is read where the type says number: the ways that ``Meta.extra`` may name."""

from __future__ import annotations

from collections.abc import Callable

from hoonify_router.config.sizes import parse_size
from hoonify_router.config.times import parse_day, parse_duration

READERS: dict[str, tuple[Callable[[str], float | None], str]] = {
    "duration": (parse_duration, "a duration such as 30s, 15m or 2h"),
    "day": (parse_day, "a day such as 2025-07-21, or a Unix time"),
    "size": (parse_size, "a size such as 20GiB or 500MB"),
}
"""For each way to read a text: the function, and what to call what is wanted."""
