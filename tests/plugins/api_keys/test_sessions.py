"""Browsers that have signed in: as good as their key, and not a moment longer."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hoonify_plugins.api_keys.middleware import APIKeysMiddleware
from hoonify_plugins.api_keys.record import StoreError, new_key
from hoonify_plugins.api_keys.session_store import DatabaseSessionStore
from hoonify_plugins.api_keys.sessions import COOKIE, CSRF_HEADER, Sessions, csrf_token, is_meant
from hoonify_plugins.api_keys.store import DatabaseKeyStore
from hoonify_router.api import RequestContext
from hoonify_router.errors import AuthenticationFailed, MissingAPIKey

LOG = logging.getLogger("hoonify_router.plugins.api_keys")
RequestWith = Callable[[str | None], RequestContext]


def test_a_session_is_found_until_it_is_over(database_url: str) -> None:
    """In both kinds of database; what is over is forgotten with the next one."""
    store = DatabaseSessionStore(database_url)
    now = int(time.time())
    store.begin(b"a" * 32, b"k" * 32, now + 60)
    assert store.find(b"a" * 32, now) == b"k" * 32
    assert store.find(b"a" * 32, now + 60) is None
    assert store.find(b"b" * 32, now) is None
    store.change(b"a" * 32, b"n" * 32)
    assert store.find(b"a" * 32, now) == b"n" * 32
    store.begin(b"o" * 32, b"k" * 32, now - 1)
    store.begin(b"c" * 32, b"k" * 32, now + 60)
    assert store.find(b"o" * 32, now - 100) is None
    store.end(b"a" * 32)
    assert store.find(b"a" * 32, now) is None
    store.close()


def test_signing_out_ends_it_everywhere(database_url: str) -> None:
    """Another gateway on the same database knows it at once."""
    here, there = DatabaseSessionStore(database_url), DatabaseSessionStore(database_url)
    here.begin(b"a" * 32, b"k" * 32, int(time.time()) + 60)
    assert there.find(b"a" * 32, time.time()) is not None
    there.end(b"a" * 32)
    assert here.find(b"a" * 32, time.time()) is None
    here.close()
    there.close()


def test_the_database_has_no_cookie(database_url: str, tmp_path: Path) -> None:
    """Only its hash: whoever reads the database signs in with nothing."""
    with pytest.raises(StoreError):
        DatabaseSessionStore(f"sqlite:///{tmp_path}")  # a folder
    assert is_meant("token", csrf_token("token"))
    assert not is_meant("token", csrf_token("other"))
    assert not is_meant("token", "")


@pytest.fixture
async def signed_in(
    database: Path, store: DatabaseKeyStore
) -> AsyncIterator[tuple[APIKeysMiddleware, dict[str, str], Any]]:
    """Return middleware, the headers of a browser that has signed in, and the record of its key."""
    record, key = new_key("ada", "free")
    store.add(record)
    url = f"sqlite:///{database}"
    sessions = Sessions(lambda: DatabaseSessionStore(url))
    middleware = APIKeysMiddleware(lambda: DatabaseKeyStore(url), LOG, 3600, sessions=sessions)
    await middleware.startup()
    found = await middleware.check(key)
    assert found == record
    token = await sessions.begin(record.digest, 60)
    headers = {"cookie": f"a=b; {COOKIE}={token}; c=d", CSRF_HEADER: csrf_token(token)}
    yield middleware, headers, record
    await middleware.shutdown()


def request(headers: dict[str, str]) -> RequestContext:
    return RequestContext("r", "POST", "/v1/chat/completions", headers, "127.0.0.1", 0.0)


async def ask(middleware: APIKeysMiddleware, headers: dict[str, str]) -> RequestContext:
    ctx = request(headers)
    waiting = middleware.on_request(ctx)
    if waiting is not None:
        await waiting
    return ctx


async def test_a_page_asks_models_as_the_key_it_has_signed_in_with(signed_in: Any) -> None:
    """Without typing the key again."""
    middleware, headers, record = signed_in
    ctx = await ask(middleware, headers)
    assert ctx.principal is not None
    assert ctx.principal.id == record.id


@pytest.mark.parametrize("given", [None, "", "x", csrf_token("another")])
async def test_another_site_cannot_ask_in_its_name(signed_in: Any, given: str | None) -> None:
    """The cookie alone is not enough: a form of another site cannot send our header."""
    middleware, headers, _ = signed_in
    headers.pop(CSRF_HEADER)
    if given is not None:
        headers[CSRF_HEADER] = given
    with pytest.raises(MissingAPIKey):
        await ask(middleware, headers)


async def test_a_key_in_the_request_counts_more(signed_in: Any) -> None:
    """And a wrong one is not made good by a session."""
    middleware, headers, _ = signed_in
    with pytest.raises(AuthenticationFailed):
        await ask(middleware, {**headers, "authorization": "Bearer hoo_wrong"})


async def test_a_revoked_key_ends_its_sessions(signed_in: Any, store: DatabaseKeyStore) -> None:
    """At the gateway's next look at the keys."""
    middleware, headers, record = signed_in
    store.revoke(record.id, int(time.time()))
    await middleware.catch_up()
    with pytest.raises(AuthenticationFailed):
        await ask(middleware, headers)


async def test_a_session_that_is_over_is_told_so(signed_in: Any) -> None:
    """With 401, which our pages understand."""
    middleware, headers, _ = signed_in
    token = headers["cookie"].partition(f"{COOKIE}=")[2].partition(";")[0]
    await middleware.sessions.end(token)
    with pytest.raises(AuthenticationFailed, match="sign in"):
        await ask(middleware, headers)


async def test_checking_a_key_knows_what_was_made_a_moment_ago(
    signed_in: Any, store: DatabaseKeyStore
) -> None:
    """And says nothing of wrong, expired or revoked ones."""
    middleware, _, _ = signed_in
    late, key = new_key("late", "free")
    store.add(late)
    assert await middleware.check(key) == late
    assert await middleware.check("hoo_nonsense") is None
    store.revoke(late.id, int(time.time()))
    await middleware.catch_up()
    assert await middleware.check(key) is None


async def test_a_session_for_a_successor_is_known_at_once(
    signed_in: Any, store: DatabaseKeyStore
) -> None:
    """Before this gateway has looked at the keys again."""
    middleware, headers, _ = signed_in
    late, _ = new_key("late", "free")
    store.add(late)
    token = headers["cookie"].partition(f"{COOKIE}=")[2].partition(";")[0]
    await middleware.sessions.change(token, late.digest)
    ctx = await ask(middleware, headers)
    assert ctx.principal is not None
    assert ctx.principal.id == late.id
