"""Build what the configuration names out of the loaded plugins: the pipeline and extra routes."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import msgspec

from hoonify_router.api import Middleware, Phase, PluginContext, Route
from hoonify_router.config.model import LoadedConfig
from hoonify_router.errors import PluginError
from hoonify_router.loader.plugins import Failure, Plugins
from hoonify_router.loader.records import checked_list
from hoonify_router.loader.suggestions import explain


def plugin_context(loaded: LoadedConfig) -> PluginContext:
    """Return what plugins may know of the router; the state folder exists afterwards."""
    loaded.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return PluginContext(loaded, logging.getLogger("hoonify_router.plugins"))


def build_pipeline(
    plugins: Plugins, loaded: LoadedConfig, context: PluginContext
) -> list[Middleware]:
    """Return the middleware that ``pipeline:`` names, in the order of their phases.

    Raises:
        PluginError: One of them is missing or cannot be built. The router must not serve without it.
    """
    names = loaded.config.pipeline
    plugins.require(names)
    built = [_build(plugins, name, loaded, context) for name in names]
    return sorted(built, key=lambda middleware: middleware.phase)


def _build(plugins: Plugins, name: str, loaded: LoadedConfig, context: PluginContext) -> Middleware:
    spec = plugins.middleware.get(name)
    if spec is None:
        raise PluginError(f"{name!r} is a backend, `pipeline:` takes middleware")
    own = dataclasses.replace(context, log=context.log.getChild(name))
    try:
        settings: Any = msgspec.convert(loaded.config.plugins.get(name, {}), spec.settings)
        middleware = spec.build(settings, own)
    except Exception as error:
        raise PluginError(f"middleware {name!r} cannot be built: {explain(error)}") from error
    if not isinstance(middleware, Middleware):
        raise PluginError(
            f"middleware {name!r}: build returned {type(middleware).__name__}, expected a Middleware"
        )
    if not isinstance(middleware.phase, Phase):
        raise PluginError(
            f"middleware {name!r}: phase is {middleware.phase!r}, expected one of Phase"
        )
    return middleware


def collect_routes(plugins: Plugins, context: PluginContext) -> tuple[list[Route], list[Failure]]:
    """Return the plugins' extra routes, and why some plugins' cannot be used."""
    routes: list[Route] = []
    failures: list[Failure] = []
    hook = "hoonify_register_routes"
    for outcome in plugins.call(hook, context=context):
        plugin = outcome.plugin
        try:
            if outcome.error is not None:
                raise PluginError(f"{hook} failed: {explain(outcome.error)}") from outcome.error
            routes.extend(checked_list(hook, outcome.result, (Route,)))
        except PluginError as error:
            failures.append(Failure(plugin.name, plugin.distribution, str(error), error=error))
    return routes, failures
