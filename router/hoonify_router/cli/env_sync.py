"""What ``env sync`` does: choose what to build, build it, and show how far that is."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from hoonify_router.api import Backend, EngineEnvironment
from hoonify_router.cli.env_doctor import accelerators_asked_for, lacking_backends
from hoonify_router.cli.output import complain, note
from hoonify_router.cli.parser import UsageError
from hoonify_router.config import LoadedConfig
from hoonify_router.environments import (
    BuildFailed,
    EnvironmentStore,
    environments_folder,
    look_for_gpus,
    sync,
)

FAILED = 1


def all_environments(backends: Mapping[str, Backend]) -> list[tuple[EngineEnvironment, list[str]]]:
    """Return every environment that a backend ships, with the backends that share it."""
    found: dict[tuple[str, str], tuple[EngineEnvironment, list[str]]] = {}
    for name, backend in sorted(backends.items()):
        for each in backend.environments:
            found.setdefault((each.name, each.accelerator), (each, []))[1].append(name)
    return [found[key] for key in sorted(found)]


def has_worker(backends: Mapping[str, Backend], users: list[str]) -> bool:
    """Tell whether the router's worker host runs in an environment, by the backends that share it."""
    return any(backends[name].kind == "worker" for name in users)


def sync_environments(
    loaded: LoadedConfig,
    backends: Mapping[str, Backend],
    backend: str | None,
    accelerator: str | None,
    python: str | None,
) -> int:
    """Build what is asked for; return the exit status.

    Args:
        loaded: The checked configuration.
        backends: All installed backends by name.
        backend: The one to build for; ``None`` for all that the configuration's homes lack.
        accelerator: What it computes on, where that is said.
        python: The Python that makes it, where that is said.

    Raises:
        UsageError: There is no such environment.
    """
    store = EnvironmentStore(environments_folder(loaded))
    names = lacking_backends(loaded, backends) if backend is None else [backend]
    chosen = [each for name in names for each in _choose(loaded, backends[name], accelerator)]
    if not chosen:
        note("every model has what it needs; name a backend to build its environment all the same")
    users_of = {(each.name, each.accelerator): users for each, users in all_environments(backends)}
    for key, environment in {(each.name, each.accelerator): each for each in chosen}.items():
        name, users = "-".join(key), users_of[key]
        progress = _Progress(name)
        try:
            built = sync(
                environment,
                store,
                requires=dict.fromkeys(m for user in users for m in backends[user].requires),
                worker=has_worker(backends, users),
                python=python,
                report=progress,
            )
        except BuildFailed as error:
            progress.clear()
            complain(str(error))
            return FAILED
        progress.clear()
        print(f"{name} is ready: {built.folder}")
    return 0


def _choose(
    loaded: LoadedConfig, backend: Backend, accelerator: str | None
) -> list[EngineEnvironment]:
    """Return which of a backend's environments to build: the named one, or those that its homes insist on."""
    known = {each.accelerator: each for each in backend.environments}
    if not known:
        raise UsageError(
            f"backend {backend.name!r} ships no environment: install what it needs yourself, and name"
            " the interpreter with `python:`"
        )
    if accelerator is not None:
        chosen = [each for each in backend.environments if each.accelerator == accelerator]
        if not chosen:
            there = " and ".join(sorted(known))
            raise UsageError(
                f"backend {backend.name!r} has no environment for {accelerator}, only for {there}"
            )
        return chosen
    if len(known) == 1:
        return list(known.values())
    if asked := accelerators_asked_for(loaded, backend):
        return [known[each] for each in sorted(asked)]
    return [known["cuda" if look_for_gpus().gpus else "cpu"]]


class _Progress:
    """Shows how far a build is: one moving line on a terminal, a line per stage elsewhere."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._moving = sys.stderr.isatty()
        self._told = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show it."""
        counted = f"{done}/{total} {stage}" if total else stage
        if self._moving:
            print(f"\r\x1b[K{self._name}: {counted[:70]}", end="", file=sys.stderr, flush=True)
            return
        kind = stage.partition(" ")[0]
        if kind != self._told:  # not a line for every package
            self._told = kind
            print(f"{self._name}: {stage}", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave a clean line."""
        if self._moving:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
