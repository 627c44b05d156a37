"""Build an engine's environment: a virtual environment, its locked packages, its files, and then its mark."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from hoonify_router.api import EngineEnvironment
from hoonify_router.environments.interpreters import BrokenInterpreter, clean_variables, look_at
from hoonify_router.environments.packages import WORKER_LOCK, WORKER_MODULES
from hoonify_router.environments.store import Built, EnvironmentStore, Mark, digest_of, key_of

Report = Callable[[str, int, int], None]
"""``report(stage, done, total)``; ``total`` 0 when it is not known."""

_LOCKED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*==", re.MULTILINE)
_PIP_TAKES = re.compile(r"^\s*(?:Collecting|Processing|Obtaining) ([^\s=;(]+)")
_SETTING = re.compile(r"^(?:global|install|:env:)\.(index-url|extra-index-url|find-links)='(.*)'$")
_FOR_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
}


class BuildFailed(Exception):
    """An environment could not be built; the message is one line, for the operator."""


def is_outdated(environment: EngineEnvironment, built: Built, worker: bool) -> bool:
    """Tell whether a built environment is not what its backend asks for today.

    Args:
        environment: What the backend asks for.
        built: What there is.
        worker: Whether the router's worker host runs in it.
    """
    locks = _locks(environment, worker)
    return built.mark.digest != digest_of(environment, locks, built.mark.python)


def _locks(environment: EngineEnvironment, worker: bool) -> tuple[Path, ...]:
    return (WORKER_LOCK, *environment.locks) if worker else environment.locks


def sync(
    environment: EngineEnvironment,
    store: EnvironmentStore,
    *,
    requires: Iterable[str],
    worker: bool,
    python: str | None,
    report: Report,
) -> Built:
    """Have an environment that is complete and is what its backend asks for today; blocks, for minutes.

    Args:
        environment: What the backend asks for.
        store: Where it goes.
        requires: Modules that must be there in the end.
        worker: Whether the router's worker host runs in it.
        python: The interpreter that makes it; default: the router's own.
        report: Told what is done now.

    Raises:
        BuildFailed: It cannot be built; what was in use before still is.
    """
    python = python or sys.executable
    try:
        made_by = look_at(python)
    except BrokenInterpreter as exc:
        raise BuildFailed(f"{python} {exc}") from exc
    version = "{}.{}".format(*made_by.version)
    locks = _locks(environment, worker)
    try:
        digest = digest_of(environment, locks, version)
        with store.lock(
            environment, lambda: report("another sync builds it, waiting", 0, 0)
        ) as held:
            current = store.current(environment)
            if current is not None and current.mark.digest == digest:
                store.clear(environment)
                return current
            folder = store.place_for(environment, digest)
            if not store.complete(environment, folder):
                store.clear(environment)
                with store.log_of(environment).open("w") as log:
                    builder = _Builder(key_of(environment), folder, log, held, report)
                    builder.build(python, locks, environment.files)
                    packages = builder.look([*requires, *(WORKER_MODULES if worker else ())])
                store.finish(folder, Mark(digest, version, packages))
            built = store.adopt(environment, folder)
            store.clear(environment)
            return built
    except OSError as exc:
        raise BuildFailed(f"{key_of(environment)} cannot be built: {exc}") from exc


class _Builder:
    """One build, in one folder.

    Args:
        name: For messages.
        folder: Made anew; its name is final, since a virtual environment cannot be moved.
        log: Gets all that the programs say.
        held: Descriptor of the lock, which the programs hold as well.
        report: Told what is done now.
    """

    def __init__(self, name: str, folder: Path, log: IO[str], held: int, report: Report) -> None:
        self._name = name
        self._folder = folder
        self._log = log
        self._held = held
        self._report = report
        self._python = str(folder / "bin" / "python")

    def build(self, python: str, locks: Iterable[Path], files: Iterable[Path]) -> None:
        """Make the environment and fill it.

        Raises:
            BuildFailed: A step failed.
        """
        uv = shutil.which("uv")
        self._report("making the environment" + (" with uv" if uv else ""), 0, 0)
        if uv:
            self._run([uv, "venv", "--quiet", "--python", python, str(self._folder)], {})
        else:
            self._run([python, "-m", "venv", str(self._folder)], {})
        wanted = [lock for lock in locks if _names_in(lock)]
        total = sum(len(_names_in(lock)) for lock in wanted)
        done = 0
        variables = _settings_for_uv() if uv else {}
        for lock in wanted:
            command = [self._python, "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
            if uv:
                command = [uv, "pip", "install", "--python", self._python]
            command += ["--no-deps", "--requirement", str(lock)]
            self._report("fetching packages", done, total)
            self._run(command, variables, done, total)
            done += len(_names_in(lock))
        for folder in files:
            self._lay_in(folder)

    def look(self, modules: Iterable[str]) -> dict[str, str]:
        """Return what is installed now.

        Raises:
            BuildFailed: A module is not there.
        """
        self._report("looking at it", 0, 0)
        try:
            found = look_at(self._python, modules)
        except BrokenInterpreter as exc:
            raise BuildFailed(f"{self._name} cannot be built: its Python {exc}") from exc
        if found.missing:
            names = " and ".join(found.missing)
            raise BuildFailed(
                f"{self._name} was built, but {names} is not in it: its lock lacks it"
            )
        return found.packages

    def _lay_in(self, folder: Path) -> None:
        where = subprocess.run(
            [self._python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
            env=clean_variables(),
        )
        shutil.copytree(
            folder,
            where.stdout.strip(),
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )

    def _run(
        self, command: list[str], variables: Mapping[str, str], done: int = 0, total: int = 0
    ) -> None:
        print(f"$ {' '.join(command)}", file=self._log, flush=True)
        last = ""
        for line in self._lines_of(command, variables):
            if line.strip():
                last = line.strip()
            if found := _PIP_TAKES.match(line):
                done += 1
                self._report(f"fetching {Path(found[1]).name}", min(done, total), total)
            elif line.startswith("Installing collected packages"):
                self._report("unpacking", done, total)
        if self._status:
            told = self._error or last or f"{command[0]} ended with {self._status}"
            raise BuildFailed(
                f"{self._name} cannot be built: {told[:300]} (all that was said: {self._log.name})"
            )

    def _lines_of(self, command: list[str], variables: Mapping[str, str]) -> Iterator[str]:
        self._error = ""
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**clean_variables(), "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables},
            pass_fds=(self._held,),
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                self._log.write(line)
                self._log.flush()
                if "error" in line[:10].lower() and not self._error:
                    self._error = line.strip()
                yield line
        self._status = process.returncode


def _names_in(lock: Path) -> list[str]:
    return _LOCKED.findall(lock.read_text())


def _settings_for_uv() -> dict[str, str]:
    """Return where pip is told to find packages, for uv, which does not read pip's settings."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
        env=clean_variables(),
    )
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():  # what the environment says comes first, and wins
        if setting := _SETTING.match(line):
            found.setdefault(_FOR_UV[setting[1]], " ".join(setting[2].split()))
    if "UV_FIND_LINKS" in found:
        found["UV_FIND_LINKS"] = found["UV_FIND_LINKS"].replace(" ", ",")
    if found:
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip does: the newest of all indexes
    return {name: value for name, value in found.items() if name not in os.environ}
