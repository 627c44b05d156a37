"""Lengths of time as people write them: ``30``, ``30s``, ``15m``, ``2h``, ``1d``."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

_WRITTEN = re.compile(r"(\d{1,12}(?:\.\d{1,9})?) ?(ms|s|m|h|d)?", re.ASCII)
_UNITS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

IS_DURATION = "duration"
"""Key of ``Meta.extra`` that tells the loader to read ``15m`` where the type says float."""

Duration = Annotated[
    float,
    Meta(
        extra={IS_DURATION: True},
        extra_json_schema={"minimum": 0, "pattern": f"^{_WRITTEN.pattern}$"},
    ),
]
"""Seconds, as a plain float; in YAML it may be written with a unit, such as ``15m``."""


def parse_duration(text: str) -> float | None:
    """Return the seconds that ``text`` stands for, or ``None`` when it is no duration."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return None
    number, unit = match.groups()
    return float(number) * _UNITS[unit]
