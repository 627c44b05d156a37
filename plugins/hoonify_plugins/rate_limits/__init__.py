"""Rate limits: requests and tokens per minute, by the plan that a key is on.

Named in ``pipeline:`` beside ``api_keys``. Windows begin with the minutes of UTC; every answer to a known key tells
what is left.
"""

from __future__ import annotations

from hoonify_plugins.rate_limits.settings import NAME, RateLimitsSettings
from hoonify_router.api import Middleware, MiddlewareSpec, PluginContext, hookimpl

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
        )
    ]


def _build(settings: RateLimitsSettings, context: PluginContext) -> Middleware:
    from hoonify_plugins.rate_limits.middleware import RateLimits
    from hoonify_plugins.rate_limits.shared_ledger import SharedLedger

    folder = context.runtime_dir or context.state_dir
    models = frozenset(context.loaded.config.models)
    return RateLimits(settings, models, lambda: SharedLedger(folder / NAME), context.log)
