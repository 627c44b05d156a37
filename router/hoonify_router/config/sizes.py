"""Sizes as people write them, such as ``20GiB``."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

from hoonify_router.config.times import READ_AS

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)?")
_UNITS = {
    None: 1,
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}

Size = Annotated[
    int,
    Meta(
        extra={READ_AS: "size"},
        extra_json_schema={"minimum": 0, "pattern": f"^{_SIZE.pattern}$"},
    ),
]
"""Bytes, as a plain int; in YAML it may be written with a unit, such as ``20GiB``."""


def parse_size(text: str) -> int | None:
    """Return the bytes that ``text`` stands for, or ``None`` when it is no size."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    number, unit = match.groups()
    return round(float(number) * _UNITS[unit])


def show_size(size: float) -> str:
    """Return a size for people, in the unit that memory is sold in."""
    if size >= 2**30:
        return f"{size / 2**30:.1f}".removesuffix(".0") + " GiB"
    return f"{size / 2**20:.0f} MiB"
