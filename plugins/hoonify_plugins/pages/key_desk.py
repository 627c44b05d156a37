"""What visitors may do with keys: rotate their own, make and revoke those of the same owner."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from hoonify_plugins.api_keys import words
from hoonify_plugins.api_keys.record import (
    SCOPES,
    KeyRecord,
    KeyStore,
    Scope,
    new_key,
    successor_of,
)
from hoonify_plugins.api_keys.settings import APIKeysSettings
from hoonify_plugins.api_keys.settings import settings_in as key_settings_in
from hoonify_plugins.pages.visitors import Visitor
from hoonify_router.api import PluginContext
from hoonify_router.errors import PluginError

T = TypeVar("T")

KEYS_WRITE: Scope = "keys:write"
OVERLAPS = {"0": "at once", "3600": "in an hour", "86400": "in a day", "604800": "in a week"}
LIFETIMES = {"": "never", "2592000": "30 days", "7776000": "90 days", "31536000": "a year"}


class Refused(PluginError):
    """This cannot be done; the message is for the visitor."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A key that somebody would like.

    Args:
        name: What it shall be called.
        scopes: What it shall be allowed to do.
        lifetime: Seconds that it shall be good for; ``None`` is for good.
        plan: Admins choose one; anybody else's keys are on their own plan.
        owner: Admins choose one; anybody else's keys have their own owner.
    """

    name: str
    scopes: Collection[str]
    lifetime: int | None = None
    plan: str = ""
    owner: str = ""


class KeyDesk:
    """Does it; the database is opened for each deed, in a thread.

    Args:
        context: The router.
    """

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    @property
    def settings(self) -> APIKeysSettings:
        """Return the plans that there are."""
        return key_settings_in(self._context.current)

    def may_make(self, visitor: Visitor) -> bool:
        """Tell whether a visitor may make and revoke keys."""
        return visitor.is_admin or (visitor.may(KEYS_WRITE) and bool(visitor.record.owner))

    def scopes_for(self, visitor: Visitor) -> list[Scope]:
        """Return the scopes that a visitor may give away: admins all, others their own."""
        return [one for one in SCOPES if visitor.is_admin or visitor.may(one)]

    async def all(self) -> Sequence[KeyRecord]:
        """Return all keys, those of the configuration file too."""
        kept = await self._with_store(lambda store: store.all())
        return [*kept, *self.settings.declared]

    async def rotate(self, visitor: Visitor, overlap: str) -> tuple[KeyRecord, str]:
        """Return the record of the visitor's next key, and the key; the old one stays good for a while.

        Raises:
            Refused: It stands in the configuration file, or has ended.
            StoreError: The database cannot be used.
        """
        if overlap not in OVERLAPS:
            raise Refused("Choose how long the old key shall stay good.")
        old = visitor.record
        record, key = successor_of(old)
        until = int(time.time()) + int(overlap)
        if await self._with_store(lambda store: store.rotate(old.id, record, until)) is None:
            raise Refused("This key stands in the configuration file, and is replaced there.")
        return record, key

    async def make(self, visitor: Visitor, wish: Wish) -> tuple[KeyRecord, str]:
        """Return the record of a new key, and the key.

        Raises:
            Refused: The visitor may not, or the wish makes no sense.
            StoreError: The database cannot be used.
        """
        if not self.may_make(visitor):
            raise Refused("This key may not make others.")
        try:
            name = words.name(wish.name)
        except argparse.ArgumentTypeError as error:
            raise Refused(f"Name: {error}.") from None
        own = visitor.record
        scopes = tuple(one for one in self.scopes_for(visitor) if one in wish.scopes)
        if not scopes:
            raise Refused("Choose what the key may do.")
        plan = wish.plan if visitor.is_admin and wish.plan else own.plan
        if plan not in self.settings.plans:
            raise Refused(f"There is no plan “{plan}”.")
        record, key = new_key(
            name,
            plan,
            lifetime=wish.lifetime,
            owner=wish.owner.strip()[:200] if visitor.is_admin else own.owner,
            models=() if visitor.is_admin else own.models,
            scopes=scopes,
        )
        if own.expires is not None and not visitor.is_admin:
            # A key that ends makes none that outlive it.
            expires = own.expires if record.expires is None else min(record.expires, own.expires)
            record = replace(record, expires=expires)
        await self._with_store(lambda store: store.add(record))
        return record, key

    async def revoke(self, visitor: Visitor, key_id: str) -> KeyRecord:
        """Revoke a key for good.

        Raises:
            Refused: There is none, or it is not the visitor's to revoke.
            StoreError: The database cannot be used.
        """
        record = await self._with_store(lambda store: store.find(key_id))
        mine = record is not None and (
            visitor.is_admin
            or record.id == visitor.record.id
            or (self.may_make(visitor) and record.owner == visitor.record.owner)
        )
        if record is None or not mine:
            raise Refused("There is no such key among those that you may revoke.")
        now = int(time.time())
        return await self._with_store(lambda store: store.revoke(key_id, now)) or record

    async def _with_store(self, work: Callable[[KeyStore], T]) -> T:
        return await asyncio.to_thread(self._work, work)

    def _work(self, work: Callable[[KeyStore], T]) -> T:
        from hoonify_plugins.api_keys.store import open_store  # costs memory: only where it is used

        store = open_store(self.settings, self._context.loaded)
        try:
            return work(store)
        finally:
            store.close()


def lineage(records: Sequence[KeyRecord], key_id: str) -> list[str]:
    """Return a key's id and those of the keys whose place it has taken."""
    before: dict[str, list[str]] = {}
    for one in records:
        if one.successor:
            before.setdefault(one.successor, []).append(one.id)
    found, asked = [key_id], [key_id]
    while asked:
        for older in before.get(asked.pop(), []):
            if older not in found:
                found.append(older)
                asked.append(older)
    return found
