"""What the plugin tells the router: middleware, command, settings, and the first key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hoonify_plugins import api_keys
from hoonify_plugins.api_keys.format import digest_of, is_well_formed
from hoonify_plugins.api_keys.settings import APIKeysSettings, settings_in
from hoonify_plugins.api_keys.store import DatabaseKeyStore
from hoonify_plugins.database.address import database_url
from hoonify_router.api import PluginContext, RequestContext

MakeContext = Callable[..., PluginContext]


def test_the_first_start_makes_one_unlimited_key(make_context: MakeContext, database: Path) -> None:
    """It is announced once; the second start announces nothing."""
    context = make_context()
    api_keys.hoonify_startup(context)
    key = context.announcements["api_key"]
    assert is_well_formed(key)
    store = DatabaseKeyStore(f"sqlite:///{database}")
    (record,) = store.all()
    store.close()
    assert (record.name, record.plan, record.digest) == ("first", "unlimited", digest_of(key))
    again = make_context()
    api_keys.hoonify_startup(again)
    assert again.announcements == {}


def test_no_key_is_made_for_a_router_that_asks_for_none(
    make_context: MakeContext, database: Path
) -> None:
    """Installed but not named in `pipeline:` means out of the way."""
    context = make_context(())
    api_keys.hoonify_startup(context)
    assert context.announcements == {}
    assert not database.exists()


def test_the_first_key_is_on_a_plan_that_exists(make_context: MakeContext, database: Path) -> None:
    """Where there is no plan `unlimited`, it gets the first one listed."""
    api_keys.hoonify_startup(make_context(plans=["bronze", "gold"]))
    store = DatabaseKeyStore(f"sqlite:///{database}")
    assert [record.plan for record in store.all()] == ["bronze"]
    store.close()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, None),
        ({"store": "sqlite:///x.db"}, None),
        ({"store": "sqlite:///"}, "plugins.api_keys.store: expected sqlite:/// and a path"),
        (
            {"store": "mysql://ada:secret@db/keys"},
            "plugins.api_keys.store: expected sqlite:/// and a path, or a URL"
            " postgresql://user@host/database",
        ),
        ({"plans": ["a", "b", "a"]}, "plugins.api_keys.plans: 'a' is listed twice"),
        ({"plans": "none"}, None),
    ],
)
def test_settings_are_checked_beyond_their_types(
    make_context: MakeContext, settings: dict[str, object], problem: str | None
) -> None:
    """No problem ever quotes the store, which may hold a password; wrong types are told elsewhere."""
    problems = api_keys.hoonify_validate_config(make_context(**settings).loaded)
    assert problems == ([] if problem is None else [problem])


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        (None, "state/hoonify.db"),
        ("sqlite:///keys.db", "keys.db"),
        ("sqlite:///deep/keys.db", "deep/keys.db"),
        ("sqlite:////somewhere/keys.db", "/somewhere/keys.db"),
    ],
)
def test_where_the_keys_are_kept(
    make_context: MakeContext, tmp_path: Path, store: str | None, expected: str
) -> None:
    """Relative paths count from the configuration's folder, three slashes and one are absolute."""
    loaded = make_context(store=store).loaded
    url = database_url(settings_in(loaded).store, loaded)
    assert Path(url.removeprefix("sqlite:///")) == tmp_path / expected


async def test_the_record_builds_a_working_middleware(
    make_context: MakeContext, request_with: Callable[[str], RequestContext]
) -> None:
    """From the hook to a request that is let in."""
    context = make_context()
    api_keys.hoonify_startup(context)
    (spec,) = api_keys.hoonify_register_middleware()
    assert spec.settings is APIKeysSettings
    middleware = spec.build(settings_in(context.loaded), context)
    await middleware.startup()
    ctx = request_with(f"Bearer {context.announcements['api_key']}")
    assert middleware.on_request(ctx) is None
    assert ctx.principal is not None
    await middleware.shutdown()
