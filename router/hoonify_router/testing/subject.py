"""What is put to the test: one home of one backend, as a configuration would have it."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hoonify_router.api import ENTRY_POINT_GROUP, Backend, Unavailable
from hoonify_router.config import (
    Config,
    HomeConfig,
    LoadedConfig,
    ModelConfig,
    options_for,
)
from hoonify_router.errors import ConfigError, PluginError
from hoonify_router.loader import Plugins
from hoonify_router.supervisor.lifecycle import Limits
from hoonify_router.supervisor.plan import HomePlan, plan_homes, why_unavailable

MODEL = "subject"
CONTEXT = 1 << 20


@dataclass(frozen=True)
class Subject:
    """One home to be tested.

    Args:
        plan: The home as the supervisor would run it.
        loaded: A configuration that holds it.
        module: The module that registers its backend, where one does.
        distribution: Name and version of what brings the backend.
        failure: Why its plugin cannot be used, where that is so.
        warning: What the loader says of a plugin that works.
    """

    plan: HomePlan
    loaded: LoadedConfig
    module: str = ""
    distribution: str = ""
    failure: str = ""
    warning: str = ""

    @property
    def backend(self) -> Backend:
        """Return the backend's record."""
        return self.plan.backend

    @property
    def model(self) -> str:
        """Return the model's ID in the configuration."""
        return self.plan.model

    def why_unavailable(self) -> Unavailable | None:
        """Return why it cannot run here."""
        return why_unavailable(self.loaded, self.plan)


def make_subject(
    plugins: Plugins,
    backend: str | Backend,
    options: Mapping[str, Any] | None = None,
    *,
    url: str | None = None,
    api_key: str | None = None,
    python: str | None = None,
    base_dir: Path | None = None,
    name: str = "",
) -> Subject:
    """Return a home of ``backend`` with these options.

    Args:
        plugins: All plugins.
        backend: Name of an installed backend, or a record that is not installed.
        options: Its options.
        url: Where its server runs, for a backend that is a server.
        api_key: The server's key.
        python: Interpreter of its engine.
        base_dir: Folder from which relative paths in the options count; default: the current one.
        name: What messages call the options.

    Raises:
        PluginError: No such backend can be used.
        ConfigError: The options do not fit.
    """
    record = _find(plugins, backend) if isinstance(backend, str) else backend
    home = HomeConfig(record.name, dict(options or {}), url, api_key, python)
    folder = (base_dir or Path.cwd()).resolve()
    model = ModelConfig("Conformance", CONTEXT, homes=[home])
    config = Config({MODEL: model})
    state = Path(tempfile.gettempdir()) / "hoonify-conformance"  # never made
    loaded = LoadedConfig(folder / "conformance.yaml", config, state, name=name or "the options")
    try:
        options_for(loaded, home, record.options)
    except msgspec.ValidationError as error:
        raise ConfigError([f"{loaded.name}: {error}"]) from error
    [plan] = plan_homes(loaded, {record.name: record}, Limits())
    return _about(plugins, plan, loaded)


def find_subject(plugins: Plugins, loaded: LoadedConfig, home_id: str) -> Subject:
    """Return a home of a checked configuration by its id, ``MODEL`` or ``MODEL/INDEX``.

    Raises:
        ConfigError: There is none of this id.
    """
    plans = {plan.id: plan for plan in plan_homes(loaded, plugins.backends, Limits())}
    plan = plans.get(home_id) or plans.get(f"{home_id}/0")
    if plan is None:
        raise ConfigError(
            [f"{loaded.name}: there is no home {home_id!r} (there are: {', '.join(plans)})"]
        )
    return _about(plugins, plan, loaded)


def _find(plugins: Plugins, name: str) -> Backend:
    record = plugins.backends.get(name)
    if record is None:
        raise PluginError(plugins.explain_missing(name))
    return record


def _about(plugins: Plugins, plan: HomePlan, loaded: LoadedConfig) -> Subject:
    name = plan.backend.name
    info = next((one for one in plugins.infos if name in one.provides), None)
    if info is None or plugins.backends.get(name) is not plan.backend:
        return Subject(plan, loaded, plan.backend.options.__module__)
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP, name=info.name)
    module = next((point.module for point in points), "")
    prefix = f"plugin {info.name!r} "
    warning = next((line for line in plugins.warnings if line.startswith(prefix)), "")
    failure = next((str(one) for one in plugins.failures if one.plugin == info.name), "")
    return Subject(plan, loaded, module, info.distribution, failure, warning)
