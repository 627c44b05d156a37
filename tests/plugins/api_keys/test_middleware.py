"""Who has a good key gets in at once; who has none is told so, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hoonify_plugins.api_keys import middleware as module
from hoonify_plugins.api_keys.format import generate_key
from hoonify_plugins.api_keys.keyring import Keyring
from hoonify_plugins.api_keys.middleware import APIKeysMiddleware
from hoonify_plugins.api_keys.record import KeyRecord, StoreError, new_key
from hoonify_plugins.api_keys.store import DatabaseKeyStore
from hoonify_router.api import Phase, RequestContext
from hoonify_router.errors import AuthenticationFailed, MissingAPIKey, RouterError, envelope

RequestWith = Callable[[str | None], RequestContext]
LOG = logging.getLogger("hoonify_router.plugins.api_keys")


class CountingStore(DatabaseKeyStore):
    """A store that counts how often it is asked, and can be told to fail."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"sqlite:///{path}")
        self.looks = 0
        self.failing = False
        self.seen = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def changes(self, since: int) -> tuple[list[KeyRecord], int]:
        """Count, then do as told."""
        self.looks += 1
        if self.failing:
            raise StoreError("the disk is gone")
        found = super().changes(since)
        self.seen.set()
        assert self.go_on.wait(10)
        return found


@pytest.fixture
async def opened(database: Path, store: DatabaseKeyStore) -> AsyncIterator[Any]:
    """Return a starter of middleware on the test's database; what it starts is stopped afterwards."""
    started: list[APIKeysMiddleware] = []

    async def start(interval: float = 3600) -> tuple[APIKeysMiddleware, CountingStore]:
        inside: list[CountingStore] = []

        def open_store() -> CountingStore:
            inside.append(CountingStore(database))
            return inside[-1]

        middleware = APIKeysMiddleware(open_store, LOG, interval)
        await middleware.startup()
        started.append(middleware)
        return middleware, inside[0]

    yield start
    for middleware in started:
        await middleware.shutdown()


async def ask(middleware: APIKeysMiddleware, ctx: RequestContext) -> RequestContext:
    """Pass a request through as the router does."""
    waiting: Awaitable[None] | None = middleware.on_request(ctx)
    if waiting is not None:
        await waiting
    return ctx


async def wait_until(condition: Callable[[], Any]) -> None:
    """Let the loop run until ``condition`` holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of tests
            await asyncio.sleep(0.005)


async def test_a_good_key_is_let_in_at_once(
    opened: Any, store: DatabaseKeyStore, request_with: RequestWith
) -> None:
    """Nothing is awaited, and the principal says who it is."""
    record, key = new_key("ada", "standard", models=("qwen*",))
    store.add(record)
    middleware, inside = await opened()
    ctx = request_with(f"Bearer {key}")
    assert middleware.on_request(ctx) is None
    assert ctx.principal is not None
    assert (ctx.principal.id, ctx.principal.name) == (record.id, "ada")
    assert (ctx.principal.plan, ctx.principal.models) == ("standard", ("qwen*",))
    assert inside.looks == 1
    assert middleware.phase is Phase.AUTHENTICATE


@pytest.mark.parametrize("form", ["bearer {}", "BEARER {}", "Bearer  {} "])
async def test_the_scheme_may_be_written_anyhow(
    opened: Any, store: DatabaseKeyStore, request_with: RequestWith, form: str
) -> None:
    """HTTP says that its case does not matter."""
    record, key = new_key("ada", "free")
    store.add(record)
    middleware, _ = await opened()
    await ask(middleware, request_with(form.format(key)))


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "hoo_123"])
async def test_no_key_is_told_as_such(
    opened: Any, request_with: RequestWith, header: str | None
) -> None:
    """The message says where the key belongs."""
    middleware, _ = await opened()
    ctx = request_with(header)
    with pytest.raises(MissingAPIKey, match="Authorization: Bearer hoo_") as caught:
        middleware.on_request(ctx)
    assert caught.value.status == 401
    assert ctx.response_headers["www-authenticate"] == "Bearer"
    assert ctx.principal is None


@pytest.mark.parametrize("key", ["hoo_wrong", "sk-123", "hoo_" + "a" * 46, "\udcff", "x" * 100_000])
async def test_what_cannot_be_a_key_is_refused_without_a_look(
    opened: Any, request_with: RequestWith, key: str
) -> None:
    """Rubbish costs the store nothing."""
    middleware, inside = await opened()
    with pytest.raises(AuthenticationFailed, match=r"^Invalid API key provided\.$") as caught:
        middleware.on_request(request_with(f"Bearer {key}"))
    assert envelope(caught.value)["error"]["code"] == "invalid_api_key"
    assert inside.looks == 1


async def test_unknown_expired_and_revoked_keys_get_one_answer(
    opened: Any, store: DatabaseKeyStore, request_with: RequestWith
) -> None:
    """Nobody learns whether a key was ever good."""
    expired, expired_key = new_key("old", "free", lifetime=-1)
    revoked, revoked_key = new_key("bad", "free")
    store.add(expired)
    store.add(revoked)
    store.revoke(revoked.id, int(time.time()))
    middleware, _ = await opened()
    answers = []
    for key in (generate_key(), expired_key, revoked_key):
        with pytest.raises(AuthenticationFailed) as caught:
            await ask(middleware, request_with(f"Bearer {key}"))
        assert key not in repr(caught.value)
        answers.append(envelope(caught.value))
    assert answers == [answers[0]] * 3


async def test_a_key_expires_while_it_is_in_memory(
    opened: Any, store: DatabaseKeyStore, request_with: RequestWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is asked for each request."""
    record, key = new_key("ada", "free", lifetime=3600)
    store.add(record)
    middleware, _ = await opened()
    await ask(middleware, request_with(f"Bearer {key}"))
    real = time.time
    monkeypatch.setattr(module.time, "time", lambda: real() + 3601)
    with pytest.raises(AuthenticationFailed):
        await ask(middleware, request_with(f"Bearer {key}"))


async def test_a_key_made_elsewhere_works_at_once(
    opened: Any, store: DatabaseKeyStore, request_with: RequestWith
) -> None:
    """A miss looks at the store, so that nobody has to wait for the next regular look."""
    middleware, _ = await opened()
    record, key = new_key("ada", "free")
    store.add(record)
    ctx = await ask(middleware, request_with(f"Bearer {key}"))
    assert ctx.principal is not None
    assert middleware.on_request(request_with(f"Bearer {key}")) is None


async def test_a_key_revoked_elsewhere_is_refused_soon(
    opened: Any, store: DatabaseKeyStore, request_with: RequestWith
) -> None:
    """Without any request in between, within two looks."""
    record, key = new_key("ada", "free")
    store.add(record)
    middleware, _ = await opened(interval=0.02)
    ctx = await ask(middleware, request_with(f"Bearer {key}"))
    assert ctx.principal is not None
    store.revoke(record.id, int(time.time()))

    def refused() -> bool:
        try:
            return middleware.on_request(request_with(f"Bearer {key}")) is not None
        except AuthenticationFailed:
            return True

    await wait_until(lambda: middleware._ring.find(record.digest) is None)
    with pytest.raises(AuthenticationFailed):
        await ask(middleware, request_with(f"Bearer {key}"))


async def test_the_default_interval_keeps_the_promise() -> None:
    """Two seconds are promised; a look takes next to nothing."""
    assert APIKeysMiddleware(lambda: None, LOG)._ring._interval <= 0.5  # type: ignore[arg-type,return-value]


async def test_a_flood_of_wrong_keys_shares_its_looks(
    opened: Any, request_with: RequestWith
) -> None:
    """A thousand unknown keys at once cost two looks, not a thousand."""
    middleware, inside = await opened()
    before = inside.looks

    async def knock() -> None:
        with pytest.raises(AuthenticationFailed):
            await ask(middleware, request_with(f"Bearer {generate_key()}"))

    await asyncio.gather(*(knock() for _ in range(1000)))
    assert inside.looks - before <= 2


async def test_a_look_that_has_begun_is_not_enough(
    opened: Any, store: DatabaseKeyStore, request_with: RequestWith
) -> None:
    """A key made while a look is under way is found by the next one, for which its request waits."""
    middleware, inside = await opened()
    inside.seen.clear()
    inside.go_on.clear()
    early = asyncio.create_task(ask(middleware, request_with(f"Bearer {generate_key()}")))
    await wait_until(inside.seen.is_set)
    record, key = new_key("ada", "free")
    store.add(record)
    late = asyncio.create_task(ask(middleware, request_with(f"Bearer {key}")))
    await asyncio.sleep(0)
    inside.go_on.set()
    with pytest.raises(AuthenticationFailed):
        await early
    assert (await late).principal is not None


async def test_a_client_that_leaves_while_its_key_is_looked_for_harms_nobody(
    opened: Any, store: DatabaseKeyStore, request_with: RequestWith
) -> None:
    """Others wait for the same look."""
    record, key = new_key("ada", "free")
    middleware, inside = await opened()
    store.add(record)
    inside.seen.clear()
    inside.go_on.clear()
    leaving = asyncio.create_task(ask(middleware, request_with(f"Bearer {key}")))
    staying = asyncio.create_task(ask(middleware, request_with(f"Bearer {key}")))
    await wait_until(inside.seen.is_set)
    leaving.cancel()
    inside.go_on.set()
    assert (await staying).principal is not None
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_wrong_key_is_remembered_for_a_while(
    opened: Any, request_with: RequestWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same wrong key again costs no look; the memory is bounded and keeps the newest."""
    monkeypatch.setattr(module, "UNKNOWN_LIMIT", 3)
    middleware, inside = await opened()
    keys = [generate_key() for _ in range(5)]
    for key in keys:
        with pytest.raises(AuthenticationFailed):
            await ask(middleware, request_with(f"Bearer {key}"))
    assert len(middleware._unknown) == 3
    before = inside.looks
    for key in keys[2:]:
        with pytest.raises(AuthenticationFailed):
            await ask(middleware, request_with(f"Bearer {key}"))
    assert inside.looks == before
    with pytest.raises(AuthenticationFailed):
        await ask(middleware, request_with(f"Bearer {keys[0]}"))
    assert inside.looks == before + 1


async def test_who_tries_keys_waits_longer_and_longer(
    opened: Any, request_with: RequestWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first few cost nothing; others are not kept waiting."""
    waits: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await real(0)

    middleware, _ = await opened()
    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    for _ in range(8):
        with pytest.raises(AuthenticationFailed):
            await ask(middleware, request_with("Bearer hoo_rubbish"))
    assert [each for each in waits if each < 5] == [0.1, 0.2, 0.4]
    other = request_with("Bearer hoo_rubbish")
    other.remote = "192.0.2.7"
    with pytest.raises(AuthenticationFailed):
        middleware.on_request(other)


async def test_a_remembered_wrong_key_that_becomes_good_works(
    opened: Any, store: DatabaseKeyStore, request_with: RequestWith
) -> None:
    """The memory of wrong keys never hides a good one for longer than a look takes to come."""
    middleware, _ = await opened(interval=0.02)
    record, key = new_key("ada", "free")
    with pytest.raises(AuthenticationFailed):
        await ask(middleware, request_with(f"Bearer {key}"))
    store.add(record)
    await wait_until(lambda: middleware._ring.find(record.digest) is not None)
    assert middleware.on_request(request_with(f"Bearer {key}")) is None


async def test_a_store_that_fails_keeps_known_keys_good(
    opened: Any,
    store: DatabaseKeyStore,
    request_with: RequestWith,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Known keys go on, unknown ones get a 500 that says nothing of the store, the log tells once."""
    record, key = new_key("ada", "free")
    store.add(record)
    middleware, inside = await opened(interval=0.01)
    inside.failing = True
    looks = inside.looks
    await wait_until(lambda: inside.looks > looks + 3)
    assert middleware.on_request(request_with(f"Bearer {key}")) is None
    with pytest.raises(RouterError) as caught:
        await ask(middleware, request_with(f"Bearer {generate_key()}"))
    assert caught.value.status == 500
    assert "disk" not in caught.value.message
    assert caplog.text.count("the disk is gone") == 1
    inside.failing = False
    await wait_until(lambda: "can be read again" in caplog.text)


async def test_a_store_that_was_replaced_is_read_anew(
    opened: Any,
    store: DatabaseKeyStore,
    database: Path,
    request_with: RequestWith,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Keys that the new one does not have are refused, and a revocation in it counts."""
    (gone, old), (kept, new) = new_key("gone", "free"), new_key("kept", "free")
    store.add(gone)
    middleware, _ = await opened(interval=0.01)
    backup = DatabaseKeyStore(f"sqlite:///{database.with_name('backup.db')}")
    backup.add(kept)
    backup.close()
    for beside in ("-wal", "-shm"):
        database.with_name(database.name + beside).unlink()
    os.replace(database.with_name("backup.db"), database)
    await wait_until(lambda: middleware._ring.find(gone.digest) is None)
    with pytest.raises(AuthenticationFailed):
        await ask(middleware, request_with(f"Bearer {old}"))
    assert middleware.on_request(request_with(f"Bearer {new}")) is None
    again = DatabaseKeyStore(f"sqlite:///{database}")
    again.revoke(kept.id, int(time.time()))
    again.close()
    await wait_until(lambda: middleware._ring.find(kept.digest) is None)
    assert caplog.text.count("read anew") == 1


async def test_a_store_that_cannot_be_opened_keeps_the_door_shut() -> None:
    """Start-up fails; shutting down afterwards is harmless."""
    middleware = APIKeysMiddleware(lambda: CountingStore(Path("/dev/null/keys.db")), LOG)
    with pytest.raises(StoreError):
        await middleware.startup()
    await middleware.shutdown()


async def test_a_gateway_that_starts_first_waits_for_the_keys(
    database: Path, store: DatabaseKeyStore, request_with: RequestWith
) -> None:
    """Whoever reads the database for it may just be started again, after a kill."""
    record, key = new_key("ada", "free")
    store.add(record)
    source = CountingStore(database)
    source.failing = True
    middleware = APIKeysMiddleware(lambda: source, LOG, interval=0.01)
    starting = asyncio.create_task(middleware.startup())
    await wait_until(lambda: source.looks > 2)
    assert not starting.done()
    source.failing = False
    await starting
    assert middleware.on_request(request_with(f"Bearer {key}")) is None
    await middleware.shutdown()


async def test_a_gateway_without_keys_gives_up(database: Path) -> None:
    """But not before it has tried for long."""
    source = CountingStore(database)
    source.failing = True
    ring = Keyring(lambda: source, LOG, interval=0.01, patience=0.1)
    with pytest.raises(StoreError, match="the disk is gone"):
        await ring.start()
    assert source.looks > 1
    await ring.stop()


async def test_no_key_gets_into_the_log(
    opened: Any,
    store: DatabaseKeyStore,
    request_with: RequestWith,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not at the most talkative level, for good keys or bad ones."""
    caplog.set_level(logging.DEBUG)
    record, key = new_key("ada", "free")
    store.add(record)
    middleware, _ = await opened()
    wrong = generate_key()
    await ask(middleware, request_with(f"Bearer {key}"))
    with pytest.raises(AuthenticationFailed):
        await ask(middleware, request_with(f"Bearer {wrong}"))
    assert "hoo_" not in caplog.text
    assert record.digest.hex() not in caplog.text


class Shelf(dict[bytes, KeyRecord]):
    """A dictionary that counts who looks something up."""

    looks = 0

    def get(self, key: bytes, default: Any = None) -> Any:
        self.looks += 1
        return super().get(key, default)


async def test_a_good_key_is_looked_up_once(
    opened: Any, store: DatabaseKeyStore, request_with: RequestWith
) -> None:
    """However many keys there are: nobody walks through them."""
    made = [new_key(f"key {number}", "free") for number in range(50)]
    for record, _ in made:
        store.add(record)
    middleware, _ = await opened()
    shelf = middleware._ring._good = Shelf(middleware._ring._good)
    for _, key in made:
        assert middleware.on_request(request_with(f"Bearer {key}")) is None
    assert shelf.looks == len(made)
