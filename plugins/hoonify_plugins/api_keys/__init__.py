"""API keys: who may ask, checked in memory, kept in a database.

Named in ``pipeline:``, it refuses every request without a good key with 401. Its command ``keys`` and its routes
under ``/v1/admin/keys`` make, list, rotate and revoke keys; all gateways follow within two seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hoonify_plugins.api_keys.commands import KEYS_COMMAND
from hoonify_plugins.api_keys.settings import NAME, APIKeysSettings, problems_of, settings_in
from hoonify_router.api import (
    APIRoute,
    Command,
    LoadedConfig,
    Middleware,
    MiddlewareSpec,
    PluginContext,
    Route,
    hookimpl,
)

if TYPE_CHECKING:
    from hoonify_plugins.api_keys.sessions import SessionStore

# The other modules are imported where they are needed: every run of the command line loads this one.

hoonify_api_version = (1, 0)


@hookimpl
def hoonify_register_middleware() -> list[MiddlewareSpec]:
    """Offer ``api_keys`` for ``pipeline:``."""
    return [
        MiddlewareSpec(
            name=NAME,
            summary="Asks every request for an API key.",
            settings=APIKeysSettings,
            build=_build,
            live=frozenset({"plans"}),
        )
    ]


def _build(settings: APIKeysSettings, context: PluginContext) -> Middleware:
    from hoonify_plugins.api_keys.middleware import APIKeysMiddleware
    from hoonify_plugins.api_keys.sessions import Sessions
    from hoonify_plugins.api_keys.snapshot import SnapshotReader

    folder = context.runtime_dir or context.state_dir
    sessions = Sessions(lambda: _open_sessions(settings, context))
    return APIKeysMiddleware(
        lambda: SnapshotReader(folder), context.log, used_folder=folder, sessions=sessions
    )


def _open_sessions(settings: APIKeysSettings, context: PluginContext) -> SessionStore:
    from hoonify_plugins.api_keys.session_store import DatabaseSessionStore  # costs memory
    from hoonify_plugins.database.address import database_url

    return DatabaseSessionStore(database_url(settings.store, context.loaded))


@hookimpl
def hoonify_register_commands() -> list[Command]:
    """Add ``hoonify-router keys``."""
    return [KEYS_COMMAND]


@hookimpl
def hoonify_register_routes(context: PluginContext) -> list[Route | APIRoute]:
    """Add ``/v1/admin/keys`` where keys are asked for."""
    if NAME not in context.loaded.config.pipeline:
        return []
    from hoonify_plugins.api_keys.admin import routes

    return [*routes(context)]


@hookimpl
def hoonify_validate_config(loaded: LoadedConfig) -> list[str]:
    """Check what the types of the settings cannot say."""
    try:
        settings = settings_in(loaded)
    except msgspec.ValidationError:
        return []  # the router has told it already
    return problems_of(settings)


@hookimpl
def hoonify_review_change(
    context: PluginContext, old: LoadedConfig, new: LoadedConfig
) -> list[str]:
    """Tell which keys lose models, and which are left on a plan that goes."""
    if NAME not in new.config.pipeline:
        return []
    from hoonify_plugins.api_keys.losses import losses
    from hoonify_plugins.api_keys.store import open_store

    settings = settings_in(old)
    store = open_store(settings, old)
    try:
        records = [*store.all(), *settings.declared]
    finally:
        store.close()
    gone = [name for name in old.config.models if name not in new.config.models]
    return losses(records, gone, settings_in(new).plans)


@hookimpl
def hoonify_startup(context: PluginContext) -> None:
    """Bring the database up to date, make the first key where there has never been one, follow the store."""
    if NAME not in context.loaded.config.pipeline:
        return
    from hoonify_plugins.api_keys.follower import KeyFollower
    from hoonify_plugins.api_keys.record import new_key
    from hoonify_plugins.api_keys.store import open_store

    settings = settings_in(context.loaded)
    store = open_store(settings, context.loaded)
    try:
        if not settings.keys:
            record, key = new_key("first", settings.first_plan)
            if store.add_first(record):
                context.announcements["api_key"] = key
    finally:
        store.close()
    folder = context.runtime_dir or context.state_dir
    follower = KeyFollower(
        lambda: open_store(settings, context.loaded), settings.declared, folder, context.log
    )
    follower.look()
    follower.start()  # a daemon: it ends with the process
