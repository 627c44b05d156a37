"""Find the installed plugins, check them one by one, and join them to the router.

Entry points are read by our own loader, since pluggy's stops at the first that fails. A plugin is taken
whole or not at all. One that is broken is a warning; it becomes a refusal only where ``router.yaml`` names
what it was to bring.
"""

from hoonify_router.loader.assembly import (
    build_balancers,
    build_pipeline,
    collect_commands,
    collect_routes,
    plugin_context,
    reload_pipeline,
    review_change,
)
from hoonify_router.loader.checking import check_config
from hoonify_router.loader.discovery import load_plugins
from hoonify_router.loader.measurements import Measurements
from hoonify_router.loader.plugins import Failure, PluginInfo, Plugins, names_in
from hoonify_router.loader.suggestions import did_you_mean, explain

__all__ = [
    "Failure",
    "Measurements",
    "PluginInfo",
    "Plugins",
    "build_balancers",
    "build_pipeline",
    "check_config",
    "collect_commands",
    "collect_routes",
    "did_you_mean",
    "explain",
    "load_plugins",
    "names_in",
    "plugin_context",
    "reload_pipeline",
    "review_change",
]
