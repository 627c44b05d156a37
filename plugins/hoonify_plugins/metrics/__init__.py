"""Metrics for Prometheus: named in ``pipeline:``, every request is counted, and ``GET /metrics`` tells.

All gateway processes write into one folder that goes with the router, so each of them answers for all.
"""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from hoonify_router.api import Middleware, MiddlewareSpec, PluginContext, Route, hookimpl

hoonify_api_version = (1, 0)

NAME = "metrics"
PATH = "/metrics"
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class MetricsSettings(Struct, forbid_unknown_fields=True):
    """Metrics for Prometheus; there is nothing to set."""


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

    return [Route(PATH, Exposition(_folder(context)).answer)]


def _build(settings: MetricsSettings, context: PluginContext) -> Middleware:
    os.environ[_VARIABLE] = str(
        _folder(context)
    )  # prometheus_client looks once, when it is imported
    from prometheus_client import CollectorRegistry, values

    from hoonify_plugins.metrics.instruments import Instruments
    from hoonify_plugins.metrics.middleware import MetricsMiddleware

    if values.ValueClass is values.MutexValue:
        raise RuntimeError(f"another plugin imported prometheus_client before {_VARIABLE} was set")
    models = frozenset(context.loaded.config.models)
    return MetricsMiddleware(Instruments(CollectorRegistry()), models)


def _folder(context: PluginContext) -> Path:
    """Return the folder that this router's gateways share; it exists, and is empty when a router starts."""
    folder = (context.runtime_dir or context.state_dir) / NAME
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
