"""Load and check the configuration against the installed plugins, as every command does that needs it."""

from __future__ import annotations

from collections.abc import Collection

from hoonify_router.cli.output import warn
from hoonify_router.config import LoadedConfig, find_config, load_config
from hoonify_router.errors import ConfigError
from hoonify_router.loader import Plugins, explain, names_in


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
    problems: list[str] = []
    try:
        loaded = load_config(
            find_config(config),
            backend_options=plugins.backend_options,
            plugin_settings=plugins.plugin_settings,
            balancer_settings=plugins.balancer_settings,
            url_backends=plugins.url_backends,
            broken=plugins.broken,
        )
        plugins.require(names_in(loaded.config))
        problems = _ask_plugins(loaded, plugins)
    except ConfigError as error:
        problems = error.problems
    for failure in plugins.failures:
        if not any(failure.message in problem for problem in problems):
            warn(str(failure))
    if problems:
        raise ConfigError(problems)
    return loaded


def _ask_plugins(loaded: LoadedConfig, plugins: Plugins) -> list[str]:
    """Return the problems that only plugins can see, each with file and line before it."""
    hook = "hoonify_validate_config"
    names: Collection[str] = names_in(loaded.config)
    problems = []
    for outcome in plugins.call(hook, loaded=loaded):
        found = outcome.result
        if outcome.error is not None:
            complaint = f"{hook} failed: {explain(outcome.error)}"
        elif found is None:
            continue
        elif isinstance(found, list) and all(isinstance(line, str) for line in found):
            problems += [loaded.locate(line) for line in found]
            continue
        else:
            complaint = f"{hook} returned {type(found).__name__}, expected a list of strings"
        plugin = outcome.plugin
        line = f"plugin {plugin.name!r} ({plugin.distribution}): {complaint}"
        if plugin.is_named(names):
            problems.append(loaded.locate(line))
        else:
            warn(line)
    return problems
