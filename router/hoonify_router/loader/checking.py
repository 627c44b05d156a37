"""Check a configuration whole: the router's own rules, then what only plugins can see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hoonify_router.config import LoadedConfig, load_config
from hoonify_router.errors import ConfigError
from hoonify_router.loader.plugins import Plugins, names_in
from hoonify_router.loader.suggestions import explain


def check_config(
    path: str | Path,
    plugins: Plugins,
    warn: Callable[[str], object],
    text: str | None = None,
) -> LoadedConfig:
    """Return the checked configuration; ``check``, ``serve`` and every reload mean the same by it.

    Args:
        path: The YAML file.
        plugins: All plugins.
        warn: Called with each line about a broken plugin that the file does not name.
        text: What is to be read in the place of the file's content.

    Raises:
        ConfigError: Something is wrong in the file, or it names a plugin that is broken.
        PluginError: It names something that no plugin brings.
    """
    problems: list[str] = []
    try:
        loaded = load_config(
            path,
            backend_options=plugins.backend_options,
            plugin_settings=plugins.plugin_settings,
            balancer_settings=plugins.balancer_settings,
            url_backends=plugins.url_backends,
            broken=plugins.broken,
            text=text,
        )
        plugins.require(names_in(loaded.config))
        problems = _ask_plugins(loaded, plugins, warn)
    except ConfigError as error:
        problems = error.problems
    for failure in plugins.failures:
        if not any(failure.message in problem for problem in problems):
            warn(str(failure))
    if problems:
        raise ConfigError(problems)
    return loaded


def _ask_plugins(
    loaded: LoadedConfig, plugins: Plugins, warn: Callable[[str], object]
) -> list[str]:
    """Return the problems that only plugins can see, each with file and line before it."""
    hook = "hoonify_validate_config"
    names = names_in(loaded.config)
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
