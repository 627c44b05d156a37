"""What is known of a key, and what a place that keeps keys must be able to do."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, get_args

from hoonify_plugins.api_keys.format import ALPHABET, digest_of, generate_key
from hoonify_router.errors import PluginError

ID_LENGTH = 12
Scope = Literal["inference", "usage:read", "keys:write", "admin"]
INFERENCE: Scope = "inference"
SCOPES: tuple[Scope, ...] = get_args(Scope)

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
        owner: Whose it is: keys of one owner may be shown and rotated together.
        scopes: What it may do: ``inference``, ``usage:read``, ``keys:write``, ``admin``.
        notes: For people.
        used: When it was last used, as far as has been written down.
        successor: Id of the key that has taken its place.
    """

    id: str
    name: str
    plan: str
    digest: bytes = field(repr=False)
    created: int
    expires: int | None = None
    revoked: int | None = None
    models: tuple[str, ...] = ()
    owner: str = ""
    scopes: tuple[str, ...] = (INFERENCE,)
    notes: str = ""
    used: int | None = None
    successor: str | None = None

    def state(self, now: float) -> KeyState:
        """Return whether the key is good at ``now``."""
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and now >= self.expires:
            return "expired"
        return "active"


def new_id() -> str:
    """Return a public id that no key has yet, as good as certainly."""
    return "key_" + "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))


def new_key(
    name: str, plan: str, *, lifetime: float | None = None, **fields: Any
) -> tuple[KeyRecord, str]:
    """Return the record of a new key, and the key: nobody can get it back from the record.

    Args:
        name: What its owner calls it.
        plan: Name of its plan.
        lifetime: Seconds after which it is refused.
        fields: Further fields of the record.
    """
    key = generate_key()
    now = int(time.time())
    expires = None if lifetime is None else int(now + lifetime)
    return KeyRecord(new_id(), name, plan, digest_of(key), now, expires, **fields), key


def successor_of(old: KeyRecord) -> tuple[KeyRecord, str]:
    """Return the record of a key that takes the place of ``old``, and the key; it may do the same."""
    key = generate_key()
    now = int(time.time())
    expires = None if old.expires is None else max(old.expires, now)
    return replace(
        old, id=new_id(), digest=digest_of(key), created=now, expires=expires, used=None
    ), key


class KeyStore(Protocol):
    """A place that keeps keys; its methods may block. Each raises ``StoreError`` when it cannot."""

    def add(self, record: KeyRecord) -> None:
        """Keep a new key, for good when this returns."""

    def add_first(self, record: KeyRecord) -> bool:
        """Keep it only if there has never been a key; tell whether that was so."""

    def all(self) -> list[KeyRecord]:
        """Return every key, the oldest first."""

    def find(self, key_id: str) -> KeyRecord | None:
        """Return the key with this id, if there is one."""

    def revoke(self, key_id: str, now: int) -> KeyRecord | None:
        """Revoke a key for good and return it, or ``None`` when there is none of that id."""

    def rotate(self, key_id: str, successor: KeyRecord, until: int) -> KeyRecord | None:
        """Keep a successor, and let the key with this id end at ``until`` at the latest.

        Return the old key as it is now, or ``None`` when there is none of that id, or it is no longer good.
        """

    def mark_used(self, times: Mapping[str, int]) -> None:
        """Note when keys were last used, by their ids."""

    def changes(self, since: int) -> tuple[list[KeyRecord], int]:
        """Return the keys that are new or changed since a mark, and the new mark; cheap when there are
        none. The first mark is 0. Raises ``StoreReplaced`` when the mark means nothing any more."""

    def close(self) -> None:
        """Give everything back."""
