"""Rate limits: requests and tokens per minute, by the plan that a key is on.

Named in ``pipeline:`` beside ``api_keys``. Windows begin with the minutes of UTC; every answer to a known key tells
what is left.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import msgspec

from hoonify_plugins.rate_limits.ledger import Ledger
from hoonify_plugins.rate_limits.settings import MEMORY, NAME, REDIS_URLS, RateLimitsSettings
from hoonify_router.api import (
    LoadedConfig,
    Measurement,
    Middleware,
    MiddlewareSpec,
    PluginContext,
    hookimpl,
)

hoonify_api_version = (1, 0)


@hookimpl
def hoonify_register_middleware() -> list[MiddlewareSpec]:
    """Offer ``rate_limits`` for ``pipeline:``."""
    return [
        MiddlewareSpec(
            name=NAME,
            summary="Keeps keys within their plans' requests and tokens per minute.",
            settings=RateLimitsSettings,
            build=_build,
            live=frozenset({"plans", "answer_tokens"}),
        )
    ]


def _build(settings: RateLimitsSettings, context: PluginContext) -> Middleware:
    from hoonify_plugins.rate_limits.middleware import RateLimits, room_of_models

    return RateLimits(
        settings, room_of_models(context.loaded), lambda: _open(settings, context), context.log
    )


def _open(settings: RateLimitsSettings, context: PluginContext) -> Ledger:
    if settings.store == MEMORY:
        from hoonify_plugins.rate_limits.shared_ledger import SharedLedger

        folder = context.runtime_dir or context.state_dir
        return SharedLedger(folder / NAME, shared=context.loaded.config.server.workers > 1)
    from hoonify_plugins.rate_limits.redis_ledger import RedisLedger

    return RedisLedger(settings.store, settings.when_store_is_away, context.log)


@hookimpl
def hoonify_collect_metrics(
    context: PluginContext, pipeline: Mapping[str, Middleware]
) -> list[Measurement]:
    """Tell what became of requests while Redis could not be reached."""
    limits: Any = pipeline.get(NAME)
    if limits is None:
        return []
    told = (
        "Requests that passed, or were refused, while the store of the limits could not be reached."
    )
    return [
        Measurement(
            "hoonify_rate_limits_uncounted_total", told, number, "counter", {"outcome": outcome}
        )
        for outcome, number in zip(("passed", "refused"), limits.uncounted, strict=True)
    ]


@hookimpl
def hoonify_validate_config(loaded: LoadedConfig) -> list[str]:
    """Check what the types of the settings cannot say."""
    try:
        settings = msgspec.convert(loaded.config.plugins.get(NAME, {}), RateLimitsSettings)
    except msgspec.ValidationError:
        return []  # the router has told it already
    problems = _strange_plans(settings, loaded)
    if settings.store != MEMORY and not settings.store.startswith(REDIS_URLS):
        problems.append(
            f"plugins.{NAME}.store: expected memory or a URL such as redis://host:6379/0"
        )
    elif settings.store != MEMORY and importlib.util.find_spec("redis") is None:
        problems.append(
            f"plugins.{NAME}.store: needs the extra `redis`: pip install 'hoonify-router[redis]'"
        )
    return problems


def _strange_plans(settings: RateLimitsSettings, loaded: LoadedConfig) -> list[str]:
    """Compare the plans with those that ``api_keys`` lists, if it does: a key on a plan without limits set up is
    refused, and limits that no key can have are a mistake in a name."""
    keys = loaded.config.plugins.get("api_keys", {})
    listed = keys.get("plans") if isinstance(keys, dict) else None
    both = {NAME, "api_keys"}.issubset(loaded.config.pipeline)
    if not both or not isinstance(listed, list) or not listed:
        return []
    known = ", ".join(settings.plans)
    missing = [name for name in listed if name not in settings.plans]
    unused = [name for name in settings.plans if name not in listed]
    return [
        *(
            f"plugins.api_keys.plans: {name!r} has no limits in plugins.{NAME}.plans ({known})"
            for name in missing
        ),
        *(
            f"plugins.{NAME}.plans: no key can be on {name!r}, which plugins.api_keys.plans does not list"
            for name in unused
        ),
    ]
