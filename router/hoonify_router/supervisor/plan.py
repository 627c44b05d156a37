"""What the configuration wants: one plan per home, and whether it can run here at all."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from hoonify_router.api import Backend, EngineEnvironment, ServerBackend, Unavailable, WorkerBackend
from hoonify_router.config import (
    BackendDefaults,
    HomeConfig,
    LoadedConfig,
    home_id,
    merged_options,
    options_for,
    shadow_id,
)
from hoonify_router.environments import (
    BrokenInterpreter,
    EnvironmentStore,
    Looks,
    environments_folder,
)
from hoonify_router.environments.packages import WORKER_MODULES
from hoonify_router.supervisor.budget import claim_of
from hoonify_router.supervisor.lifecycle import Limits


@dataclass(frozen=True)
class HomePlan:
    """One home as it should be.

    Args:
        id: Its name within the configuration.
        model: Catalog ID that it serves.
        home: Its part of the configuration, with the interpreter of its backend or environment filled in.
        backend: The backend's record.
        options: Its options as plain data, with the backend's defaults filled in.
        always: Whether it runs as long as the router does.
        base_dir: Folder from which relative paths count.
        limits: How long things may take.
        idle_stop: Seconds without a request after which it stops; 0 never does.
        environment: The link to the environment that was built for it, where that is what it runs in.
        looks: Looks at interpreters, shared with other homes.
        claim: Bytes that it takes on each GPU.
        shadow: Whether it is the model's shadow: it starts when a request is copied, and makes way for everyone.
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
    environment: Path | None = None
    looks: Looks = field(default_factory=Looks, compare=False, repr=False)
    claim: Mapping[int, int] = field(default_factory=dict)
    shadow: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """Return what its engine finds in its environment besides ours."""
        if not self.home.gpu:
            return {}
        seen = ",".join(map(str, self.home.gpu))
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": seen}

    @property
    def identity(self) -> str:
        """Return what tells whether a home that runs is the one that is wanted: whatever its engine was made of.

        Weights, limits, and whether it always runs are no part of it: they change under a running home.
        """
        home = self.home
        made_of: tuple[Any, ...] = (
            self.model,
            self.backend.name,
            home.url,
            home.api_key,
            str(self.environment or self.interpreter),
            self.options,
            str(self.base_dir),
        )
        if self.shadow:  # one that becomes a home has to prove itself as any other new one
            made_of += ("shadow",)
        encoded = msgspec.json.encode(made_of, order="deterministic")
        return hashlib.sha256(encoded).hexdigest()[:16]

    @property
    def interpreter(self) -> str:
        """Return the Python that runs its engine; asked for again at each start, since a sync may move it."""
        if self.environment is not None:
            # By its real name: what runs stays in the environment that it began with.
            return str(self.environment.resolve() / "bin" / "python")
        return interpreter_of(self.home.python, self.base_dir)


def interpreter_of(python: str | None, base_dir: Path) -> str:
    """Return the program that ``python:`` means; by default the router's own."""
    if python is None:
        return sys.executable
    python = os.path.expanduser(python)
    return str(base_dir / python) if os.sep in python else python


def plan_homes(
    loaded: LoadedConfig, backends: Mapping[str, Backend], limits: Limits
) -> list[HomePlan]:
    """Return a plan for each home, in the order of the file.

    Args:
        loaded: The checked configuration.
        backends: All installed backends by name.
        limits: What the configuration does not say is taken from here.
    """
    store = EnvironmentStore(environments_folder(loaded))
    looks = Looks()
    plans = []
    for model_id, model in loaded.config.models.items():
        homes = model.all_homes()
        for index, given in enumerate(model.every_home()):
            shadow = given is model.shadow
            defaults = loaded.config.backends.get(given.backend)
            backend = backends[given.backend]
            home = _with_interpreter(given, defaults)
            environment = None
            if home.python is None and home.url is None:
                environment = _environment(loaded, home, backend, store)
            if environment is not None:
                python = str(environment / "bin" / "python")
                home = msgspec.structs.replace(home, python=python)
            plans.append(
                HomePlan(
                    id=shadow_id(model_id) if shadow else home_id(model_id, index, len(homes)),
                    model=model_id,
                    home=home,
                    backend=backend,
                    options=merged_options(loaded, home),
                    always=model.start == "always" and not shadow,
                    base_dir=loaded.base_dir,
                    limits=_limits(limits, defaults),
                    idle_stop=model.idle_stop if not shadow else 0.0,
                    environment=environment,
                    looks=looks,
                    claim=claim_of(loaded, home, backends[home.backend]),
                    shadow=shadow,
                )
            )
    return plans


def _with_interpreter(home: HomeConfig, defaults: BackendDefaults | None) -> HomeConfig:
    if home.python is None and defaults is not None:
        return msgspec.structs.replace(home, python=defaults.python)
    return home


def wanted_environments(
    loaded: LoadedConfig, home: HomeConfig, backend: Backend
) -> list[EngineEnvironment]:
    """Return the environments that are for what a home computes on, those for GPUs first."""
    found = sorted(backend.environments, key=lambda each: each.accelerator == "cpu")
    try:
        wish = backend.accelerator(options_for(loaded, home, backend.options))
    except (
        Exception
    ):  # a bug of the plugin; its check is told when it fails, and sees the same options
        wish = None
    return [each for each in found if wish in (None, each.accelerator)]


def _environment(
    loaded: LoadedConfig, home: HomeConfig, backend: Backend, store: EnvironmentStore
) -> Path | None:
    """Return the link to the environment that a home runs in, if one is built."""
    for each in wanted_environments(loaded, home, backend):
        if store.current(each) is not None:
            return store.link_of(each)
    return None


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
    options = msgspec.convert(plan.options, backend.options)
    try:
        refused = backend.check(options, home, plan.base_dir)
    except Exception as exc:
        told = f"the check of backend {backend.name!r} failed: {type(exc).__name__}: {exc}"
        return Unavailable("It cannot be told whether it can run here.", told)
    if refused is not None:
        return refused
    if isinstance(backend, ServerBackend) and home.url is not None:
        return None
    if plan.environment is not None:
        return _no_launcher(backend)
    if home.python is not None:
        return _lacking(plan) or _no_launcher(backend)
    missing = _missing_modules(backend)
    if missing:
        names = " and ".join(missing)
        return Unavailable(f"Its engine ({names}) is not installed.", _how_to_install(plan, names))
    return _no_launcher(backend)


def _lacking(plan: HomePlan) -> Unavailable | None:
    """Return what is wrong with the interpreter that the configuration names."""
    backend, python = plan.backend, plan.home.python
    if shutil.which(plan.interpreter) is None:
        return Unavailable(
            "The environment of its engine is missing.", f"python: {python} is no executable file"
        )
    host = WORKER_MODULES if isinstance(backend, WorkerBackend) else ()
    try:
        missing = plan.looks.missing(plan.interpreter, (*backend.requires, *host))
    except BrokenInterpreter as exc:
        return Unavailable(
            "The environment of its engine does not work.", f"python: {python} {exc}"
        )
    if not missing:
        return None
    names = " and ".join(missing)
    return Unavailable(
        "The environment of its engine is not complete.", f"python: {python} lacks {names}"
    )


def _how_to_install(plan: HomePlan, names: str) -> str:
    backend = plan.backend
    if backend.environments:
        return f"run: hoonify-router env sync {backend.name}"
    hint = f": pip install 'hoonify-router[{backend.extra}]'" if backend.extra else ""
    return f"install {names}{hint}"


def _no_launcher(backend: Backend) -> Unavailable | None:
    if isinstance(backend, ServerBackend) and backend.launch is None:
        return Unavailable(
            "Its engine is not running.",
            f"backend {backend.name!r} is a server: start it yourself and name it with `url:`",
        )
    return None


def _missing_modules(backend: Backend) -> list[str]:
    """Return the top-level modules that our own interpreter lacks."""
    importlib.invalidate_caches()
    names = dict.fromkeys(module.partition(".")[0] for module in backend.requires)
    return [name for name in names if importlib.util.find_spec(name) is None]
