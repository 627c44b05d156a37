"""What ``env doctor`` finds: GPUs, and for each backend its interpreter, its engine and what it lacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoonify_router.api import Accelerator, Backend, WorkerBackend
from hoonify_router.config import LoadedConfig
from hoonify_router.environments import (
    BrokenInterpreter,
    EnvironmentStore,
    Graphics,
    environments_folder,
    is_outdated,
    look_at,
    look_for_gpus,
)
from hoonify_router.environments.packages import WORKER_MODULES
from hoonify_router.supervisor.lifecycle import Limits
from hoonify_router.supervisor.plan import (
    HomePlan,
    interpreter_of,
    plan_homes,
    wanted_environments,
)

_MIB_PER_GIB = 1024

_Place = tuple[str, Path | None]
"""An interpreter, and the link to the environment that it is of."""


@dataclass(frozen=True)
class Finding:
    """One backend in one interpreter.

    Args:
        backend: Its name.
        interpreter: The Python that runs its engine; empty where nothing is run here.
        python: The version of that.
        environment: Name of the built environment; empty where it is another interpreter.
        engine: What its engine is called and its version.
        torch: Version of torch.
        missing: What is missing, in one sentence; empty when nothing is.
    """

    backend: str
    interpreter: str = ""
    python: str = ""
    environment: str = ""
    engine: str = ""
    torch: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Findings:
    """All of it."""

    graphics: Graphics
    backends: tuple[Finding, ...]

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "machine": dataclasses.asdict(self.graphics),
            "backends": [dataclasses.asdict(each) for each in self.backends],
        }


def examine(
    loaded: LoadedConfig, backends: Mapping[str, Backend], only: str | None = None
) -> Findings:
    """Look at the machine and at each backend, or at one; takes a second or a few."""
    graphics = look_for_gpus()
    plans = plan_homes(loaded, backends, Limits())
    names = sorted(backends) if only is None else [only]
    found = [
        finding for name in names for finding in _findings(loaded, backends[name], plans, graphics)
    ]
    return Findings(graphics, tuple(found))


def show_findings(findings: Findings) -> None:
    """Print it for an operator."""
    graphics = findings.graphics
    if graphics.driver:
        print(f"NVIDIA driver {graphics.driver}, for CUDA {graphics.cuda or 'of unknown version'}")
    for gpu in graphics.gpus:
        free, memory = gpu.free / _MIB_PER_GIB, gpu.memory / _MIB_PER_GIB
        print(f"GPU {gpu.index}: {gpu.name}, {free:.1f} of {memory:.1f} GiB free")
    if graphics.missing:
        print(f"GPU: none. {graphics.missing}")
    for each in findings.backends:
        print(f"\n{each.backend}")
        lines = {
            "interpreter": f"{each.interpreter} (Python {each.python})"
            if each.python
            else each.interpreter,
            "environment": each.environment,
            "engine": each.engine,
            "torch": each.torch,
            "missing": each.missing or "nothing",
        }
        for label, told in lines.items():
            if told:
                print(f"  {label:<12} {told}")


def accelerators_asked_for(loaded: LoadedConfig, backend: Backend) -> set[Accelerator]:
    """Return what the configuration's homes of a backend insist on, of what it has environments for."""
    asked: set[Accelerator] = set()
    for model in loaded.config.models.values():
        for home in model.every_home():
            if home.backend == backend.name and home.url is None:
                wanted = wanted_environments(loaded, home, backend)
                if len(wanted) == 1:
                    asked.add(wanted[0].accelerator)
    return asked


def lacking_backends(loaded: LoadedConfig, backends: Mapping[str, Backend]) -> list[str]:
    """Return the backends whose homes have no interpreter with all that they need."""
    lacking: dict[str, None] = {}
    for plan in plan_homes(loaded, backends, Limits()):
        backend = plan.backend
        if plan.home.url is not None or plan.home.python is not None or not backend.environments:
            continue
        if look_at(plan.interpreter, backend.requires).missing:
            lacking[backend.name] = None
    return list(lacking)


def _findings(
    loaded: LoadedConfig, backend: Backend, plans: list[HomePlan], graphics: Graphics
) -> list[Finding]:
    if not backend.requires:
        return [Finding(backend.name, engine="none of its own")]
    store = EnvironmentStore(environments_folder(loaded))
    places: dict[_Place, set[Accelerator]] = {}  # and what the homes there insist on
    for plan in plans:
        if plan.backend.name == backend.name and plan.home.url is None:
            asked = places.setdefault((plan.interpreter, plan.environment), set())
            wanted = wanted_environments(loaded, plan.home, backend)
            if len(wanted) == 1:
                asked.add(wanted[0].accelerator)
    links = {store.link_of(each): each for each in backend.environments}
    for each in backend.environments:  # also what no model uses yet
        if found := store.current(each):
            places.setdefault((str(found.python), found.link), set())
    if not places:
        defaults = loaded.config.backends.get(backend.name)
        python = interpreter_of(defaults.python if defaults else None, loaded.base_dir)
        only_gpus = {each.accelerator for each in backend.environments} == {"cuda"}
        places = {(python, None): {"cuda"} if only_gpus else set()}
    findings = []
    for (interpreter, link), asked in places.items():
        finding = _look(backend, interpreter, asked)
        if link is not None and link in links:
            finding = dataclasses.replace(finding, environment=link.name)
            current = store.current(links[link])
            worker = isinstance(backend, WorkerBackend)
            if current and not finding.missing and is_outdated(links[link], current, worker):
                hint = f"hoonify-router env sync {backend.name} --accelerator {links[link].accelerator}"
                told = f"It is built of older requirements; run: {hint}"
                finding = dataclasses.replace(finding, missing=told)
        if not finding.missing and graphics.missing and "cuda" in asked:
            finding = dataclasses.replace(finding, missing=graphics.missing)
        findings.append(finding)
    return findings


def _look(backend: Backend, interpreter: str, asked: set[Accelerator]) -> Finding:
    host = WORKER_MODULES if isinstance(backend, WorkerBackend) else ()
    sync = f"hoonify-router env sync {backend.name}" if backend.environments else ""
    if sync and len(asked) == 1:
        sync += f" --accelerator {min(asked)}"
    try:
        found = look_at(interpreter, (*backend.requires, *host), owners=True)
    except BrokenInterpreter as exc:
        return Finding(backend.name, interpreter, missing=f"Its interpreter {exc}.")
    engine = backend.requires[0].partition(".")[0]
    owner = (found.owners.get(engine) or [engine])[0]
    version = found.packages.get(owner.lower().replace("_", "-"), "")
    missing = ""
    if found.missing:
        names = " and ".join(found.missing)
        missing = f"It has no {names}" + (f"; run: {sync}" if sync else ".")
    return Finding(
        backend.name,
        interpreter,
        ".".join(map(str, found.version)),
        engine=f"{owner} {version}".strip() if found.modules[engine] else "",
        torch=found.packages.get("torch", ""),
        missing=missing,
    )
