"""All routes of the pages, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_plugins.pages.assets import PATH
from hoonify_plugins.pages.console import Console
from hoonify_plugins.pages.dashboard import Dashboard
from hoonify_plugins.pages.key_desk import KeyDesk
from hoonify_plugins.pages.latency import LatencyReader
from hoonify_plugins.pages.manual import Manual
from hoonify_plugins.pages.model_pages import ModelPages
from hoonify_plugins.pages.playground import Playground
from hoonify_plugins.pages.settings import PagesSettings
from hoonify_plugins.pages.sign_in import SignIn
from hoonify_plugins.pages.site import HEADERS, Site, redirect
from hoonify_plugins.pages.usage_book import UsageBook
from hoonify_plugins.pages.visitors import Visitors
from hoonify_plugins.usage.settings import NAME as USAGE
from hoonify_plugins.usage.settings import settings_in as usage_settings_in
from hoonify_router.api import PluginContext, Route

if TYPE_CHECKING:
    from hoonify_plugins.usage.store import UsageStore

_FOR_GOOD = "public, max-age=31536000, immutable"


def routes(settings: PagesSettings, context: PluginContext) -> list[Route]:
    """Return the routes of a router with these settings."""
    site = Site(settings, context)
    book = UsageBook(_usage_opener(context))
    visitors = Visitors(site)
    methods = ("GET", "HEAD")
    return [
        Route("/", _to_models, methods),
        Route(f"{PATH}<name:str>", partial(_asset, site), methods),
        *ModelPages(site, LatencyReader(book)).routes(),
        *Manual(site).routes(),
        *SignIn(site, visitors).routes(),
        *Dashboard(site, visitors, book, KeyDesk(context)).routes(),
        *Playground(site, visitors).routes(),
        *Console(site, visitors).routes(),
    ]


async def _to_models(request: Request) -> HTTPResponse:
    return redirect("/models")


async def _asset(site: Site, request: Request, name: str) -> HTTPResponse:
    asset = site.assets.find(name)
    if asset is None:
        return site.failure(404, "No such file", "It may have been replaced by a newer one.")
    told = {"cache-control": _FOR_GOOD, **HEADERS}
    return HTTPResponse(asset.body, 200, told, asset.content_type)


def _usage_opener(context: PluginContext) -> Callable[[], UsageStore] | None:
    """Return what opens the usage records, where they are kept."""
    if USAGE not in context.loaded.config.pipeline:
        return None

    def open_store() -> UsageStore:
        from hoonify_plugins.database.address import database_url
        from hoonify_plugins.usage.store import UsageStore  # costs memory: only where it is used

        return UsageStore(database_url(usage_settings_in(context.loaded).store, context.loaded))

    return open_store
