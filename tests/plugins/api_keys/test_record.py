"""A record tells everything of a key but the key."""

from __future__ import annotations

import dataclasses
import time

import pytest

from hoonify_plugins.api_keys.format import digest_of
from hoonify_plugins.api_keys.record import new_key


def test_neither_key_nor_digest_shows() -> None:
    """Logs and tracebacks may print a record."""
    record, key = new_key("ada", "free")
    for text in (repr(record), str(record)):
        assert key not in text
        assert key[4:] not in text
        assert record.digest.hex() not in text
        assert repr(record.digest) not in text
    assert record.digest == digest_of(key)


def test_ids_differ_and_tell_nothing_of_the_key() -> None:
    """The public id is drawn by itself."""
    pairs = [new_key("ada", "free") for _ in range(200)]
    assert len({record.id for record, _ in pairs}) == 200
    assert all(record.id.removeprefix("key_") not in key for record, key in pairs)


@pytest.mark.parametrize(
    ("expires", "revoked", "state"),
    [
        (None, None, "active"),
        (101, None, "active"),
        (100, None, "expired"),
        (99, None, "expired"),
        (None, 50, "revoked"),
        (99, 50, "revoked"),
    ],
)
def test_the_state_of_a_key(expires: int | None, revoked: int | None, state: str) -> None:
    """Revoked beats expired; the last second is already over."""
    record, _ = new_key("ada", "free")
    record = dataclasses.replace(record, expires=expires, revoked=revoked)
    assert record.state(100.0) == state


def test_a_lifetime_counts_from_now() -> None:
    """It is kept as a point in time."""
    before = time.time()
    record, _ = new_key("ada", "free", lifetime=3600)
    assert record.expires is not None
    assert before + 3599 <= record.expires <= time.time() + 3600
