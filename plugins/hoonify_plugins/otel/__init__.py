"""Traces: named in ``pipeline:``, each request is one OpenTelemetry span, and engines' servers hear of its trace.

What is sent where, and how much of it, the standard ``OTEL_*`` variables say. Needs the extra ``otel``; nothing of
OpenTelemetry is imported unless the pipeline names it.
"""

from __future__ import annotations

import importlib.util

from msgspec import Struct

from hoonify_router.api import LoadedConfig, Middleware, MiddlewareSpec, PluginContext, hookimpl

hoonify_api_version = (1, 0)

NAME = "otel"


class OTelSettings(Struct, forbid_unknown_fields=True):
    """Traces for OpenTelemetry; the OTEL_* variables of the environment say the rest."""


@hookimpl
def hoonify_register_middleware() -> list[MiddlewareSpec]:
    """Offer ``otel`` for ``pipeline:``."""
    return [
        MiddlewareSpec(
            name=NAME,
            summary="Traces each request for OpenTelemetry; OTEL_* variables say where to.",
            settings=OTelSettings,
            build=_build,
        )
    ]


@hookimpl
def hoonify_validate_config(loaded: LoadedConfig) -> list[str]:
    """Tell what is missing before anything is started."""
    if NAME not in loaded.config.pipeline or _is_installed():
        return []
    return ["pipeline: otel needs the extra `otel`: pip install 'hoonify-router[otel]'"]


def _is_installed() -> bool:
    try:
        return all(
            importlib.util.find_spec(module) is not None
            for module in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
        )
    except ModuleNotFoundError:
        return False


def _build(settings: OTelSettings, context: PluginContext) -> Middleware:
    from hoonify_plugins.otel.middleware import TracingMiddleware
    from hoonify_plugins.otel.provider import open_provider

    return TracingMiddleware(open_provider, frozenset(context.loaded.config.models))
