"""Metrics for Prometheus: named in ``pipeline:``, every request is counted, and ``GET /metrics`` tells.

All gateway processes count in one folder that goes with the router, so each of them answers for all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from hoonify_router.api import Middleware, MiddlewareSpec, PluginContext, Route, hookimpl

hoonify_api_version = (1, 0)

NAME = "metrics"
PATH = "/metrics"


class MetricsSettings(Struct, forbid_unknown_fields=True):
    """Metrics for Prometheus."""

    token: Annotated[
        str | None,
        Meta(
            description="What a reader of /metrics must bring as Bearer; nothing, if it is left out."
        ),
    ] = None


@hookimpl
def hoonify_register_middleware() -> list[MiddlewareSpec]:
    """Offer ``metrics`` for ``pipeline:``."""
    return [
        MiddlewareSpec(
            name=NAME,
            summary="Counts and times every request, for Prometheus at /metrics.",
            settings=MetricsSettings,
            build=_build,
        )
    ]


@hookimpl
def hoonify_register_routes(context: PluginContext) -> list[Route]:
    """Answer ``GET /metrics`` where the pipeline counts."""
    if NAME not in context.loaded.config.pipeline:
        return []
    from hoonify_plugins.metrics.exposition import Exposition

    settings = msgspec.convert(context.loaded.config.plugins.get(NAME, {}), MetricsSettings)
    exposition = Exposition(_folder(context), context.vitals, settings.token)
    return [Route(PATH, exposition.answer)]


def _build(settings: MetricsSettings, context: PluginContext) -> Middleware:
    from hoonify_plugins.metrics.board import Board
    from hoonify_plugins.metrics.middleware import MetricsMiddleware

    models = frozenset(context.loaded.config.models)
    return MetricsMiddleware(lambda: Board(_folder(context)), models, context.vitals)


def _folder(context: PluginContext) -> Path:
    """Return the folder that this router's gateways share; it exists, and is empty when a router starts."""
    folder = (context.runtime_dir or context.state_dir) / NAME
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
