"""Moments as people write them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

_SPANS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


def read_moment(text: str) -> float:
    """Return a moment in Unix seconds: a day or a time in ISO 8601 (UTC unless it says otherwise), or how long ago.

    Raises:
        ValueError: It is neither; the message says what is expected.
    """
    if match := re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", text):
        return time.time() - int(match[1]) * _SPANS[match[2]]
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        hint = f"expected a day such as 2026-11-01 or a time such as 24h, not {text[:40]!r}"
        raise ValueError(hint) from None
