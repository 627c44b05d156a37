"""What the configuration wants: one plan per home, and whether it can run here at all."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hoonify_router.api import Backend, ServerBackend, Unavailable, WorkerBackend
from hoonify_router.config import (
    BackendDefaults,
    HomeConfig,
    LoadedConfig,
    home_id,
    merged_options,
    options_for,
)
from hoonify_router.supervisor.lifecycle import Limits


@dataclass(frozen=True)
class HomePlan:
    """One home as it should be.

    Args:
        id: Its name within the configuration.
        model: Catalog ID that it serves.
        home: Its part of the configuration, with its backend's interpreter filled in.
        backend: The backend's record.
        options: Its options as plain data, with the backend's defaults filled in.
        always: Whether it runs as long as the router does.
        base_dir: Folder from which relative paths count.
        limits: How long things may take.
        idle_stop: Seconds without a request after which it stops; 0 never does.
    """

    id: str
    model: str
    home: HomeConfig
    backend: Backend
    options: dict[str, Any]
    always: bool
    base_dir: Path
    limits: Limits
    idle_stop: float = 0.0

    @property
    def interpreter(self) -> str:
        """Return the Python that runs its engine."""
        python = self.home.python
        if python is None:
            return sys.executable
        python = os.path.expanduser(python)
        return str(self.base_dir / python) if os.sep in python else python


def plan_homes(
    loaded: LoadedConfig, backends: Mapping[str, Backend], limits: Limits
) -> list[HomePlan]:
    """Return a plan for each home, in the order of the file.

    Args:
        loaded: The checked configuration.
        backends: All installed backends by name.
        limits: What the configuration does not say is taken from here.
    """
    plans = []
    for model_id, model in loaded.config.models.items():
        homes = model.all_homes()
        for index, home in enumerate(homes):
            defaults = loaded.config.backends.get(home.backend)
            plans.append(
                HomePlan(
                    id=home_id(model_id, index, len(homes)),
                    model=model_id,
                    home=_with_interpreter(home, defaults),
                    backend=backends[home.backend],
                    options=merged_options(loaded, home),
                    always=model.start == "always",
                    base_dir=loaded.base_dir,
                    limits=_limits(limits, defaults),
                    idle_stop=model.idle_stop,
                )
            )
    return plans


def _with_interpreter(home: HomeConfig, defaults: BackendDefaults | None) -> HomeConfig:
    if home.python is None and defaults is not None:
        return msgspec.structs.replace(home, python=defaults.python)
    return home


def _limits(limits: Limits, defaults: BackendDefaults | None) -> Limits:
    if defaults is None:
        return limits
    return dataclasses.replace(
        limits,
        load_stall=defaults.load_stall,
        load_timeout=defaults.load_timeout,
        drain_timeout=defaults.drain_timeout,
    )


def why_unavailable(loaded: LoadedConfig, plan: HomePlan) -> Unavailable | None:
    """Return why a home cannot run here, by a quick look that imports no engine."""
    backend, home = plan.backend, plan.home
    options = options_for(loaded, home, backend.options)
    try:
        refused = backend.check(options, home, plan.base_dir)
    except Exception as exc:
        told = f"the check of backend {backend.name!r} failed: {type(exc).__name__}: {exc}"
        return Unavailable("It cannot be told whether it can run here.", told)
    if refused is not None:
        return refused
    if isinstance(backend, ServerBackend) and home.url is not None:
        return None
    if home.python is not None and shutil.which(plan.interpreter) is None:
        return Unavailable(
            "The environment of its engine is missing.",
            f"python: {home.python} is no executable file",
        )
    missing = _missing_modules(backend) if home.python is None else []
    if missing:
        names = " and ".join(missing)
        hint = f": pip install 'hoonify-router[{backend.extra}]'" if backend.extra else ""
        return Unavailable(f"Its engine ({names}) is not installed.", f"install {names}{hint}")
    if isinstance(backend, ServerBackend):
        return Unavailable(
            "Its engine is not running.",
            f"backend {backend.name!r} is a server: start it yourself and name it with `url:`",
        )
    return None


def _missing_modules(backend: WorkerBackend | ServerBackend) -> list[str]:
    """Return the top-level modules that our own interpreter lacks."""
    importlib.invalidate_caches()
    names = dict.fromkeys(module.partition(".")[0] for module in backend.requires)
    return [name for name in names if importlib.util.find_spec(name) is None]
