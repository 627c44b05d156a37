"""Keys in words: what people write about them, and how they are shown, always without their secrets."""

from __future__ import annotations

import argparse
import json
import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from hoonify_plugins.api_keys.record import INFERENCE, KeyRecord, Scope, new_id

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LONGEST_LIFETIME = 100 * 366 * 86400
_LONGEST_NAME = 200
_LONGEST_NOTES = 2000


def name(text: str) -> str:
    """Return a name as it is kept.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    if not text.strip() or not text.isprintable() or len(text) > _LONGEST_NAME:
        raise argparse.ArgumentTypeError("expected 1 to 200 printable characters")
    return text.strip()


def notes(text: str) -> str:
    """Return notes as they are kept; fails as ``name`` does."""
    if len(text) > _LONGEST_NOTES:
        raise argparse.ArgumentTypeError("expected at most 2000 characters")
    return text.strip()


def glob(text: str) -> str:
    """Return a pattern of model ids; fails as ``name`` does."""
    if not text or not text.isprintable() or "," in text:
        raise argparse.ArgumentTypeError("expected a model's id, or a pattern such as 'qwen*'")
    return text


def lifetime(text: str) -> int:
    """Return a time such as ``30d`` in seconds; fails as ``name`` does."""
    match = re.fullmatch(r"([1-9][0-9]{0,9})([smhdw])", text)
    seconds = int(match[1]) * SECONDS[match[2]] if match else 0
    if not 0 < seconds <= LONGEST_LIFETIME:
        raise argparse.ArgumentTypeError(f"expected a time such as 12h, 30d or 52w, not {text!r}")
    return seconds


def lifetime_or_nothing(text: str) -> int:
    """Return a time in seconds, which may be 0; fails as ``name`` does."""
    return 0 if text == "0" else lifetime(text)


def when(seconds: int) -> str:
    """Return a moment as people and programs read it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def row(record: KeyRecord) -> dict[str, Any]:
    """Return what may be shown of a key, ready for JSON."""

    def moment(seconds: int | None) -> str | None:
        return None if seconds is None else when(seconds)

    return {
        "id": record.id,
        "name": record.name,
        "owner": record.owner or None,
        "plan": record.plan,
        "models": list(record.models) or None,
        "scopes": list(record.scopes),
        "created": when(record.created) if record.created else None,
        "used": moment(record.used),
        "expires": moment(record.expires),
        "revoked": moment(record.revoked),
        "successor": record.successor,
        "notes": record.notes or None,
        "state": record.state(time.time()),
    }


def cell(value: Any) -> str:
    """Return a value of a row as a table shows it."""
    if isinstance(value, list):
        return ",".join(value)
    return "-" if value is None else str(value)


class _Imported(Struct):
    """A key as a file describes it; what it says beyond this is not taken over."""

    name: Annotated[str, Meta(min_length=1, max_length=_LONGEST_NAME)]
    plan: str
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    owner: str | None = None
    models: list[str] | None = None
    scopes: list[Scope] = field(default_factory=lambda: [INFERENCE])
    notes: str | None = None
    expires: datetime | None = None


def records_in(text: str) -> list[KeyRecord]:
    """Return the keys that a file of JSON describes, with ids of their own.

    Raises:
        ValueError: It does not; the message says where.
    """
    try:
        keys = msgspec.convert(json.loads(text), list[_Imported])
    except msgspec.ValidationError as error:
        raise ValueError(str(error).replace("`$[", "`[")) from error
    now = int(time.time())
    return [
        KeyRecord(
            id=new_id(),
            name=name(key.name),
            plan=key.plan,
            digest=bytes.fromhex(key.sha256),
            created=now,
            expires=None if key.expires is None else int(key.expires.timestamp()),
            models=tuple(key.models or ()),
            owner=key.owner or "",
            scopes=tuple(key.scopes),
            notes=key.notes or "",
        )
        for key in keys
    ]
