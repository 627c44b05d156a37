"""A configuration as its file says it and as it is in force, and whether another text may take its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from hoonify_router.config import LoadedConfig, read_config
from hoonify_router.errors import ConfigError, PluginError
from hoonify_router.loader import Plugins, build_balancers, check_config
from hoonify_router.supervisor.difference import LIVE_SERVER_SETTINGS, need_a_restart
from hoonify_router.supervisor.outcomes import Refusal


@dataclass(frozen=True)
class Configuration:
    """One configuration.

    Args:
        written: As the file says it.
        loaded: As it is in force: what the command line has said at the start wins, such as the port.
    """

    written: LoadedConfig
    loaded: LoadedConfig


class Judge:
    """Decides whether a text may take effect while the router runs.

    Args:
        plugins: All plugins.
    """

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._live: Mapping[str, Collection[str]] = {
            name: spec.live for name, spec in plugins.middleware.items()
        }

    def first(self, loaded: LoadedConfig) -> Configuration:
        """Return the configuration that the router has been started with."""
        try:
            written = check_config(loaded.name or loaded.path, self._plugins, _ignore, loaded.text)
        except (ConfigError, PluginError):  # a plugin has become another one since
            written = loaded
        return Configuration(written, loaded)

    def read(self, now: Configuration) -> str:
        """Return what the file says at the moment.

        Raises:
            Refusal: It cannot be read.
        """
        try:
            return read_config(now.loaded.path)
        except ConfigError as error:
            raise Refusal("refused", error.problems) from error

    def judge(self, text: str, now: Configuration) -> Configuration:
        """Return the configuration that a text makes; may block for a moment.

        Args:
            text: What the file says.
            now: The configuration that is in force.

        Raises:
            Refusal: It cannot take effect.
        """
        loaded = now.loaded
        try:
            written = check_config(loaded.name or loaded.path, self._plugins, _ignore, text)
            build_balancers(self._plugins, written)
        except ConfigError as error:
            raise Refusal("refused", error.problems) from error
        except PluginError as error:
            raise Refusal("refused", str(error).splitlines()) from error
        paths = need_a_restart(now.written.config, written.config, self._live)
        if paths:
            told = [written.locate(f"{path}: needs a restart of the router") for path in paths]
            raise Refusal("refused", told)
        live = {name: getattr(written.config.server, name) for name in LIVE_SERVER_SETTINGS}
        server = msgspec.structs.replace(loaded.config.server, **live)
        config = msgspec.structs.replace(written.config, server=server)
        effective = msgspec.structs.replace(
            written, config=config, path=loaded.path, state_dir=loaded.state_dir
        )
        return Configuration(written, effective)


def _ignore(line: str) -> None:
    """Warnings about broken plugins have been told at the start."""
