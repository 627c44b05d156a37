"""Usage: one durable record per request, and what they come to.

Named in ``pipeline:``, it writes each record before the client sees the end of its answer; not even the kill of a
process loses one. The command ``usage`` adds them up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hoonify_plugins.database.address import problems_of
from hoonify_plugins.usage.commands import USAGE_COMMAND
from hoonify_plugins.usage.settings import NAME, UsageSettings, journal_folder, settings_in
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
    from hoonify_plugins.usage.store import UsageStore

hoonify_api_version = (1, 0)


@hookimpl
def hoonify_register_middleware() -> list[MiddlewareSpec]:
    """Offer ``usage`` for ``pipeline:``."""
    return [
        MiddlewareSpec(
            name=NAME,
            summary="Keeps a durable record of what each request came to.",
            settings=UsageSettings,
            build=_build,
        )
    ]


def _build(settings: UsageSettings, context: PluginContext) -> Middleware:
    from hoonify_plugins.usage.journal import Journal
    from hoonify_plugins.usage.middleware import UsageMiddleware

    folder = journal_folder(context.loaded)
    return UsageMiddleware(context.loaded.config.models, lambda: Journal(folder))


@hookimpl
def hoonify_register_commands() -> list[Command]:
    """Add ``hoonify-router usage``."""
    return [USAGE_COMMAND]


@hookimpl
def hoonify_register_routes(context: PluginContext) -> list[Route | APIRoute]:
    """Add ``/v1/usage`` and ``/v1/admin/usage`` where records are kept."""
    if NAME not in context.loaded.config.pipeline:
        return []
    from hoonify_plugins.usage.routes import UsageReport

    return [*UsageReport(lambda: _open_store(context)).routes()]


def _open_store(context: PluginContext) -> UsageStore:
    from hoonify_plugins.database.address import database_url
    from hoonify_plugins.usage.store import UsageStore  # costs memory: only where it is used

    return UsageStore(database_url(settings_in(context.loaded).store, context.loaded))


@hookimpl
def hoonify_validate_config(loaded: LoadedConfig) -> list[str]:
    """Check what the types of the settings cannot say."""
    try:
        settings = settings_in(loaded)
    except msgspec.ValidationError:
        return []  # the router has told it already
    return problems_of(settings.store, f"plugins.{NAME}.store")


@hookimpl
def hoonify_startup(context: PluginContext) -> None:
    """Bring the database up to date and begin to take records over into it."""
    if NAME not in context.loaded.config.pipeline:
        return
    from hoonify_plugins.usage.collector import UsageCollector

    _open_store(context).close()  # a database that cannot be used keeps the door shut
    folder = journal_folder(context.loaded)
    UsageCollector(lambda: _open_store(context), folder, context.log).start()
