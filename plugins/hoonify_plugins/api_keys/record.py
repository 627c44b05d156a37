"""What is known of a key, and what a place that keeps keys must be able to do."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Literal, Protocol

from hoonify_plugins.api_keys.format import ALPHABET, digest_of, generate_key
from hoonify_router.errors import PluginError

ID_LENGTH = 12

KeyState = Literal["active", "expired", "revoked"]


class StoreError(PluginError):
    """The keys cannot be read or written; the message says why and never holds a key or a password."""


class StoreReplaced(StoreError):
    """Another store stands where this one was opened: open it again and forget what is known."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One key, without the key itself. Times are whole Unix seconds.

    Args:
        id: Public id, fit for logs.
        name: What its owner calls it.
        plan: Name of its plan.
        digest: SHA-256 of the key.
        created: When it was made.
        expires: From when it is refused.
        revoked: When it was revoked.
        models: Globs of the catalog IDs that it may use; empty means all.
    """

    id: str
    name: str
    plan: str
    digest: bytes = field(repr=False)
    created: int
    expires: int | None = None
    revoked: int | None = None
    models: tuple[str, ...] = ()

    def state(self, now: float) -> KeyState:
        """Return whether the key is good at ``now``."""
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and now >= self.expires:
            return "expired"
        return "active"


def new_key(
    name: str, plan: str, *, lifetime: float | None = None, models: tuple[str, ...] = ()
) -> tuple[KeyRecord, str]:
    """Return the record of a new key, and the key: nobody can get it back from the record."""
    key = generate_key()
    now = int(time.time())
    record = KeyRecord(
        id="key_" + "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH)),
        name=name,
        plan=plan,
        digest=digest_of(key),
        created=now,
        expires=None if lifetime is None else int(now + lifetime),
        models=models,
    )
    return record, key


class KeyStore(Protocol):
    """A place that keeps keys; its methods may block. Each raises ``StoreError`` when it cannot."""

    def add(self, record: KeyRecord) -> None:
        """Keep a new key, for good when this returns."""

    def add_first(self, record: KeyRecord) -> bool:
        """Keep it only if there has never been a key; tell whether that was so."""

    def all(self) -> list[KeyRecord]:
        """Return every key, the oldest first."""

    def revoke(self, key_id: str, now: int) -> KeyRecord | None:
        """Revoke a key for good and return it, or ``None`` when there is none of that id."""

    def changes(self, since: int) -> tuple[list[KeyRecord], int]:
        """Return the keys that are new or changed since a mark, and the new mark; cheap when there are
        none. The first mark is 0. Raises ``StoreReplaced`` when the mark means nothing any more."""

    def close(self) -> None:
        """Give everything back."""
