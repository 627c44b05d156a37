"""Keys over HTTP: what ``hoonify-router keys`` does, for keys with the scope ``admin``.

GET    /v1/admin/keys               all keys, without their secrets
POST   /v1/admin/keys               make one; the answer alone shows it
GET    /v1/admin/keys/{id}          one key
POST   /v1/admin/keys/{id}/rotate   make its successor; both are good for a while
DELETE /v1/admin/keys/{id}          revoke it
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from hoonify_plugins.api_keys import words
from hoonify_plugins.api_keys.record import (
    INFERENCE,
    KeyRecord,
    KeyStore,
    Scope,
    StoreError,
    new_key,
    successor_of,
)
from hoonify_plugins.api_keys.settings import APIKeysSettings, settings_in
from hoonify_router.api import APIRoute, PluginContext, RequestContext, Result
from hoonify_router.errors import (
    InvalidJSON,
    InvalidRequest,
    InvalidValue,
    ModelUnavailable,
    NotFound,
)

_DAY = 86400.0
_LONGEST = float(words.LONGEST_LIFETIME)
_Text = Annotated[str, Meta(min_length=1, max_length=200)]
T = TypeVar("T")


class CreateKey(Struct, forbid_unknown_fields=True):
    """The body of a request for a new key; ``expires_in`` is seconds."""

    name: _Text
    plan: _Text
    owner: Annotated[str, Meta(max_length=200)] = ""
    models: list[_Text] = field(default_factory=list)
    scopes: Annotated[list[Scope], Meta(min_length=1)] = field(default_factory=lambda: [INFERENCE])
    expires_in: Annotated[float, Meta(gt=0, le=_LONGEST)] | None = None
    notes: Annotated[str, Meta(max_length=2000)] = ""


class RotateKey(Struct, forbid_unknown_fields=True):
    """The body of a request for a successor; ``overlap`` is the seconds for which the old key stays good."""

    overlap: Annotated[float, Meta(ge=0, le=_LONGEST)] = _DAY


class KeyAdmin:
    """Answers the requests.

    Args:
        settings: Tells the plans that there are now.
        open_store: Opens the database; may block, and is called in a thread.
    """

    def __init__(
        self, settings: Callable[[], APIKeysSettings], open_store: Callable[[], KeyStore]
    ) -> None:
        self._settings = settings
        self._open_store = open_store

    def routes(self) -> list[APIRoute]:
        """Return the routes."""
        path, one = "/v1/admin/keys", "/v1/admin/keys/<key_id:str>"
        return [
            APIRoute(path, self.list, "admin"),
            APIRoute(path, self.create, "admin", "POST"),
            APIRoute(one, self.show, "admin"),
            APIRoute(one, self.revoke, "admin", "DELETE"),
            APIRoute(f"{one}/rotate", self.rotate, "admin", "POST"),
        ]

    async def list(self, ctx: RequestContext, given: Mapping[str, str]) -> Result:
        """Return all keys, the oldest first."""
        records = await self._with_store(lambda store: store.all())
        rows = [words.row(record) for record in [*records, *self._settings().declared]]
        return Result({"object": "list", "data": rows})

    async def create(self, ctx: RequestContext, given: Mapping[str, str]) -> Result:
        """Make a key; only this answer shows it."""
        asked = _body(ctx, CreateKey)
        plans = self._settings().plans
        if asked.plan not in plans:
            raise InvalidValue(
                f"There is no plan {asked.plan!r}; there are {', '.join(plans)}.",
                param="plan",
            )
        record, key = new_key(
            _checked(words.name, asked.name, "name"),
            asked.plan,
            lifetime=asked.expires_in,
            owner=asked.owner,
            models=tuple(_checked(words.glob, glob, "models") for glob in asked.models),
            scopes=tuple(dict.fromkeys(asked.scopes)),
            notes=asked.notes,
        )
        await self._with_store(lambda store: store.add(record))
        return Result(words.row(record) | {"key": key}, 201)

    async def show(self, ctx: RequestContext, given: Mapping[str, str]) -> Result:
        """Return one key."""
        return Result(words.row(await self._find(given["key_id"])))

    async def rotate(self, ctx: RequestContext, given: Mapping[str, str]) -> Result:
        """Make a key's successor; only this answer shows it."""
        asked = _body(ctx, RotateKey)
        old = await self._find(given["key_id"])
        record, key = successor_of(old)
        until = int(time.time() + asked.overlap)
        rotated = await self._with_store(lambda store: store.rotate(old.id, record, until))
        if rotated is None:
            raise InvalidRequest(f"The key {old.id} is {old.state(time.time())}: make a new one.")
        return Result(words.row(record) | {"key": key, "replaces": words.row(rotated)}, 201)

    async def revoke(self, ctx: RequestContext, given: Mapping[str, str]) -> Result:
        """Revoke a key for good."""
        key_id, now = given["key_id"], int(time.time())
        record = await self._with_store(lambda store: store.revoke(key_id, now))
        if record is None:
            raise _unknown(key_id)
        return Result(words.row(record))

    async def _find(self, key_id: str) -> KeyRecord:
        record = await self._with_store(lambda store: store.find(key_id))
        if record is None:
            raise _unknown(key_id)
        return record

    async def _with_store(self, work: Callable[[KeyStore], T]) -> T:
        return await asyncio.to_thread(self._work, work)

    def _work(self, work: Callable[[KeyStore], T]) -> T:
        try:
            store = self._open_store()
            try:
                return work(store)
            finally:
                store.close()
        except StoreError as error:
            raise ModelUnavailable(
                "The key database cannot be used at the moment.", retry_after=5
            ) from error


def routes(context: PluginContext) -> list[APIRoute]:
    """Return the routes."""

    def open_store() -> KeyStore:
        from hoonify_plugins.api_keys.store import open_store  # costs memory: only where it is used

        return open_store(settings_in(context.loaded), context.loaded)

    return KeyAdmin(lambda: settings_in(context.current), open_store).routes()


def _unknown(key_id: str) -> NotFound:
    return NotFound(f"There is no key {key_id[:100]!r}.")


StructT = TypeVar("StructT", bound=Struct)


def _body(ctx: RequestContext, kind: type[StructT]) -> StructT:
    try:
        return msgspec.json.decode(ctx.body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$.")
        raise InvalidValue(f"{message}.", param=at.rstrip("`") or None) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise InvalidJSON("The body is not valid JSON.") from None


def _checked(check: Callable[[str], str], value: str, param: str) -> str:
    try:
        return check(value)
    except argparse.ArgumentTypeError as error:
        raise InvalidValue(f"Invalid value for '{param}': {error}.", param=param) from None
