"""Times as people write them: lengths such as ``15m``, and days such as ``2025-07-21``."""

from __future__ import annotations

import datetime
import re
from typing import Annotated

from msgspec import Meta

_LENGTH = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)?")
_UNITS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

READ_AS = "read_as"
"""Key of ``Meta.extra`` that names how the loader reads a text where the type says number."""

Duration = Annotated[
    float,
    Meta(
        extra={READ_AS: "duration"},
        extra_json_schema={"minimum": 0, "pattern": f"^{_LENGTH.pattern}$"},
    ),
]
"""Seconds, as a plain float; in YAML it may be written with a unit, such as ``15m``."""

Day = Annotated[
    int,
    Meta(
        extra={READ_AS: "day"},
        extra_json_schema={"minimum": 0, "pattern": f"^{_DAY.pattern}$"},
    ),
]
"""Unix time, as a plain int; in YAML it may be written as a day, such as ``2025-07-21``."""


def parse_duration(text: str) -> float | None:
    """Return the seconds that ``text`` stands for, or ``None`` when it is no duration."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        return None
    number, unit = match.groups()
    return float(number) * _UNITS[unit]


def parse_day(text: str) -> int | None:
    """Return the Unix time at which a day begins in UTC, or ``None`` when it is no such day."""
    if _DAY.fullmatch(text) is None:
        return None
    try:
        day = datetime.datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=datetime.UTC)
    except ValueError:
        return None
    return int(day.timestamp()) if day.year >= 1970 else None
