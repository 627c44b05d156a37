"""Keys over HTTP, through a whole gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_plugins.api_keys.admin import KeyAdmin
from hoonify_plugins.api_keys.format import digest_of, is_well_formed
from hoonify_plugins.api_keys.record import StoreError, new_key
from hoonify_plugins.api_keys.settings import APIKeysSettings
from hoonify_plugins.api_keys.store import DatabaseKeyStore
from hoonify_router.api import APIRoute, RequestContext, Result
from hoonify_router.errors import (
    InvalidJSON,
    InvalidRequest,
    InvalidValue,
    ModelUnavailable,
    NotFound,
)

Call = Callable[..., Any]


@pytest.fixture
def admin(store: DatabaseKeyStore, database: Path) -> KeyAdmin:
    """What answers the requests."""
    return KeyAdmin(APIKeysSettings, lambda: DatabaseKeyStore(f"sqlite:///{database}"))


@pytest.fixture
def call(admin: KeyAdmin) -> Call:
    """Answer a request as the router does, found by method and path."""

    async def call(method: str, path: str, body: Any = None) -> Result:
        for route in admin.routes():
            given = _match(route, method, path)
            if given is not None:
                raw = (
                    body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
                )
                ctx = RequestContext("req-1", method, path, {}, "", 0.0, body=raw)
                assert route.scope == "admin"
                result = await route.handler(ctx, given)
                msgspec.json.encode(result.content)
                return result
        raise LookupError(path)

    return call


def _match(route: APIRoute, method: str, path: str) -> dict[str, str] | None:
    ours, theirs = route.path.split("/"), path.split("/")
    if route.method != method or len(ours) != len(theirs):
        return None
    given: dict[str, str] = {}
    for part, value in zip(ours, theirs, strict=True):
        if part.startswith("<"):
            given[part[1:].partition(":")[0]] = value
        elif part != value:
            return None
    return given


async def test_a_key_is_made_and_shown_once(call: Call, store: DatabaseKeyStore) -> None:
    """The answer has it, nothing else ever has."""
    asked = {"name": "ada", "plan": "free", "models": ["qwen*"], "scopes": ["inference", "admin"]}
    made = await call("POST", "/v1/admin/keys", asked | {"owner": "Ada", "expires_in": 60})
    assert made.status == 201
    key = made.content["key"]
    assert is_well_formed(key)
    (record,) = store.all()
    assert (record.digest, record.owner, record.models) == (digest_of(key), "Ada", ("qwen*",))
    assert record.expires is not None
    assert record.expires <= time.time() + 60
    listed = await call("GET", "/v1/admin/keys")
    shown = await call("GET", f"/v1/admin/keys/{record.id}")
    assert listed.content["data"] == [shown.content]
    assert key not in repr(listed) + repr(shown)


async def test_a_key_is_rotated_with_an_overlap(call: Call, store: DatabaseKeyStore) -> None:
    """Both are good for a while, as the answer says."""
    record, _ = new_key("ada", "free")
    store.add(record)
    made = await call("POST", f"/v1/admin/keys/{record.id}/rotate", {"overlap": 3600})
    assert made.status == 201
    assert made.content["replaces"]["successor"] == made.content["id"]
    assert {each.state(time.time()) for each in store.all()} == {"active"}
    at_once = await call("POST", f"/v1/admin/keys/{made.content['id']}/rotate", {"overlap": 0})
    assert at_once.content["replaces"]["state"] == "expired"
    with pytest.raises(InvalidRequest, match="is expired"):
        await call("POST", f"/v1/admin/keys/{made.content['id']}/rotate")


async def test_a_key_is_revoked(call: Call, store: DatabaseKeyStore) -> None:
    """For good; asked again, it still is."""
    record, _ = new_key("ada", "free")
    store.add(record)
    for _ in range(2):
        revoked = await call("DELETE", f"/v1/admin/keys/{record.id}")
        assert revoked.content["state"] == "revoked"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "key_x"), ("DELETE", "key_x"), ("POST", "key_x/rotate")],
)
async def test_a_key_that_does_not_exist(call: Call, method: str, path: str) -> None:
    """404, with its name."""
    with pytest.raises(NotFound, match="'key_x'"):
        await call(method, f"/v1/admin/keys/{path}")


@pytest.mark.parametrize(
    ("body", "error", "param"),
    [
        (b"{", InvalidJSON, None),
        ({"name": "a"}, InvalidValue, None),
        ({"name": "a", "plan": "gold"}, InvalidValue, "plan"),
        ({"name": "a", "plan": "free", "scopes": ["root"]}, InvalidValue, "scopes[0]"),
        ({"name": "a", "plan": "free", "expires_in": -1}, InvalidValue, "expires_in"),
        ({"name": "\u0007", "plan": "free"}, InvalidValue, "name"),
        ({"name": "a", "plan": "free", "models": ["a,b"]}, InvalidValue, "models"),
        ({"name": "a", "plan": "free", "colour": "red"}, InvalidValue, None),
    ],
)
async def test_a_mistake_makes_no_key(
    call: Call, store: DatabaseKeyStore, body: Any, error: type[Exception], param: str | None
) -> None:
    """The refusal names the field."""
    with pytest.raises(error) as caught:
        await call("POST", "/v1/admin/keys", body)
    assert caught.value.param == param  # type: ignore[attr-defined]
    assert store.all() == []


async def test_a_database_that_is_away() -> None:
    """503, which says nothing of where it is."""

    def fail() -> DatabaseKeyStore:
        raise StoreError("the database /secret/path cannot be used")

    admin = KeyAdmin(APIKeysSettings, fail)
    with pytest.raises(ModelUnavailable) as caught:
        await admin.list(RequestContext("req-1", "GET", "/", {}, "", 0.0), {})
    assert "secret" not in caught.value.message
