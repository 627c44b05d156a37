"""Load and check the configuration against the installed plugins, as every command does that needs it."""

from __future__ import annotations

from hoonify_router.cli.output import warn
from hoonify_router.config import LoadedConfig, find_config
from hoonify_router.loader import Plugins, check_config


def prepare(config: str | None, plugins: Plugins) -> LoadedConfig:
    """Return the checked configuration.

    A broken plugin that it does not name is a warning on standard error.

    Args:
        config: What ``--config`` says.
        plugins: All plugins.

    Raises:
        ConfigError: Something is wrong in the file, or it names a plugin that is broken.
    """
    warn(*plugins.warnings)
    return check_config(find_config(config), plugins, warn)
