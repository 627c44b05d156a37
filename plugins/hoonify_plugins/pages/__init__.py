"""Pages for browsers: the catalog, the documentation, a dashboard, a playground, a console.

Named in ``pipeline:``, it adds them to the door; on a request's way it does nothing. They are made on the server,
work without scripts as far as they can, and load nothing from anywhere else.
"""

from __future__ import annotations

from hoonify_plugins.pages.settings import NAME, PagesSettings, settings_in
from hoonify_router.api import Middleware, MiddlewareSpec, PluginContext, Route, hookimpl

# The other modules are imported where they are needed: every run of the command line loads this one.

hoonify_api_version = (1, 0)


@hookimpl
def hoonify_register_middleware() -> list[MiddlewareSpec]:
    """Offer ``pages`` for ``pipeline:``; on a request's way it does nothing."""
    return [
        MiddlewareSpec(
            name=NAME,
            summary="Adds pages for browsers: models, documentation, dashboard, playground, console.",
            settings=PagesSettings,
            build=lambda settings, context: Middleware(),
        )
    ]


@hookimpl
def hoonify_register_routes(context: PluginContext) -> list[Route]:
    """Add the pages where ``pipeline:`` names them."""
    if NAME not in context.loaded.config.pipeline:
        return []
    from hoonify_plugins.pages.routes import routes

    return routes(settings_in(context.loaded), context)
