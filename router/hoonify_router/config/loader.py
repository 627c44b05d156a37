"""Load the configuration: find the file, read it, check all of it, fill in what it leaves out."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec import inspect as mi

from hoonify_router.config.checker import INVALID, Checker
from hoonify_router.config.environment import fill
from hoonify_router.config.model import (
    Config,
    HomeConfig,
    LoadedConfig,
    ModelConfig,
    ServerConfig,
)
from hoonify_router.config.nodes import MappingNode, dotted
from hoonify_router.config.problems import Problems, shown, unreadable
from hoonify_router.config.rules import Installed, Rules
from hoonify_router.errors import ConfigError

DEFAULT_PATH = Path("config") / "router.yaml"
CONFIG_VARIABLE = "HOONIFY_CONFIG"
STATE_VARIABLE = "HOONIFY_STATE_DIR"
MAX_FILE_BYTES = 1024 * 1024

StructT = TypeVar("StructT", bound=Struct)

_WRITTEN_STATE_DIR = re.compile(
    r"""^[^#\n]*?\bstate_dir\s*:\s*(?:(?P<quote>["'])(?P<quoted>.*?)(?P=quote)|(?P<plain>[^\s,}\#]+))""",
    re.MULTILINE,
)


def find_config(given: str | Path | None = None, env: Mapping[str, str] | None = None) -> Path:
    """Return the configuration's path: ``given``, else ``HOONIFY_CONFIG``, else ``config/router.yaml``.

    Raises:
        ConfigError: Nothing was given, and the default does not exist.
    """
    named = given or (os.environ if env is None else env).get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    if not DEFAULT_PATH.exists():
        what = f"no such file; name one with --config FILE or {CONFIG_VARIABLE}"
        raise ConfigError([f"{DEFAULT_PATH}: {what}"])
    return DEFAULT_PATH


def load_config(
    path: str | Path,
    *,
    backend_options: Mapping[str, type[Struct]],
    plugin_settings: Mapping[str, type[Struct]],
    balancer_settings: Mapping[str, type[Struct]] | None = None,
    url_backends: Collection[str] | None = None,
    broken: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
) -> LoadedConfig:
    """Return the checked configuration.

    Args:
        path: The YAML file.
        backend_options: Options Struct of every installed backend, by its name.
        plugin_settings: Settings Struct of every installed middleware plugin, by its name.
        balancer_settings: Settings Struct of every installed balancer, by its name; default: none.
        url_backends: Backends for which a home's ``url`` makes sense; ``None`` allows it for all.
        broken: Why a plugin that is installed could not be loaded, by its name: for the message
            when the file names it.
        env: Environment for ``${NAME}`` and the state folder; default: this process's.
        text: What is to be read in the place of the file's content.

    Raises:
        ConfigError: The file cannot be read, or anything in it is wrong; it has every problem.
    """
    environment = os.environ if env is None else env
    problems = Problems(str(path))
    if text is None:
        text = read_config(path)
    root = _parse(path, text, environment, problems)
    installed = Installed(
        backend_options, plugin_settings, url_backends, broken or {}, balancer_settings or {}
    )
    Rules(installed, problems).apply(root)
    config = Checker(problems).check(root, mi.type_info(Config))
    problems.raise_if_any()
    if config is INVALID:  # unreachable as long as every check notes what it finds
        raise unreadable(str(path), ": is not valid")
    absolute = Path(path).absolute()
    lines = {dotted(node.path): node.where[0] for node in root.walk()}
    return LoadedConfig(
        absolute, config, _state_dir(config, absolute, environment), lines, str(path), text
    )


def find_state_dir(path: Path, env: Mapping[str, str] | None = None) -> Path:
    """Return the state folder of a router on this file, which may be broken by an edit that is under way.

    Raises:
        ConfigError: The folder's name makes no sense.
    """
    environment = os.environ if env is None else env
    written = ""
    with contextlib.suppress(ConfigError):  # the router may run on what the file was before
        if found := _WRITTEN_STATE_DIR.search(read_config(path)):
            written = fill(found["quoted"] or found["plain"] or "", environment).text
    server = ServerConfig(state_dir=written or None)
    return _state_dir(Config(models={}, server=server), path.absolute(), environment)


def merged_options(loaded: LoadedConfig, home: HomeConfig) -> dict[str, Any]:
    """Return a home's options with its backend's defaults filled in, as plain data."""
    defaults = loaded.config.backends.get(home.backend)
    return {**(defaults.options if defaults else {}), **home.options}


def options_for(loaded: LoadedConfig, home: HomeConfig, options_type: type[StructT]) -> StructT:
    """Return a home's options, its backend's defaults filled in, as the backend's own Struct."""
    return msgspec.convert(merged_options(loaded, home), options_type)


def settings_for(loaded: LoadedConfig, name: str, settings_type: type[StructT]) -> StructT:
    """Return the settings of the plugin called ``name`` as the plugin's own Struct."""
    return msgspec.convert(loaded.config.plugins.get(name, {}), settings_type)


def balance_options_for(model: ModelConfig, settings_type: type[StructT]) -> StructT:
    """Return a model's ``balance_options`` as its balancer's own Struct."""
    return msgspec.convert(model.balance_options, settings_type)


def load_options(
    path: str | Path, options_type: type[Struct], *, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the options in a YAML file of their own, as plain data that fits ``options_type``.

    Raises:
        ConfigError: The file cannot be read, or anything in it is wrong.
    """
    from hoonify_router.config.yaml_source import read_yaml

    problems = Problems(str(path))
    environment = os.environ if env is None else env
    root = read_yaml(read_config(path), environment, problems)
    if root is None:
        return {}
    if not isinstance(root, MappingNode):
        raise unreadable(str(path), f":{root.at[0]}: must be a mapping, got {shown(root)}")
    Checker(problems).check(root, mi.type_info(options_type))
    problems.raise_if_any()
    return dict(root.plain())


def _parse(path: str | Path, text: str, env: Mapping[str, str], problems: Problems) -> MappingNode:
    # Imported here, because engine workers use the Structs, and their interpreter may lack PyYAML.
    from hoonify_router.config.yaml_source import read_yaml

    root = read_yaml(text, env, problems)
    if root is None:
        raise unreadable(str(path), ": is empty; it needs at least models:")
    if not isinstance(root, MappingNode):
        raise unreadable(str(path), f":{root.at[0]}: must be a mapping, got {shown(root)}")
    return root


def read_config(path: str | Path) -> str:
    """Return the text of a configuration file.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise unreadable(str(path), ": no such file") from None
    except IsADirectoryError:
        raise unreadable(str(path), ": is a folder, not a file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise unreadable(str(path), f": cannot be read: {reason}") from None
    if len(content) > MAX_FILE_BYTES:
        raise unreadable(str(path), f": is larger than {MAX_FILE_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise unreadable(str(path), f":{line}: is not UTF-8 text") from None


def _state_dir(config: Config, path: Path, env: Mapping[str, str]) -> Path:
    if given := env.get(STATE_VARIABLE):
        return _at_home(given, f"{STATE_VARIABLE}: ").absolute()
    written = config.server.state_dir or "var"
    return path.parent / _at_home(written, f"{path}: server.state_dir: ")


def _at_home(folder: str, where: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError:
        raise unreadable(where, "there is no home folder for the ~ in it") from None
