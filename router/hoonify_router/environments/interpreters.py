"""What an interpreter has, asked of itself in a process of its own: nothing of an engine is imported."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

_PATIENCE = 30.0  # a machine that is starting eight engines answers late
_OLDEST = (3, 11)
_SHARED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")

# Runs in whatever Python an operator names: nothing in it may be newer than Python 3.8.
_QUESTION = """
import importlib.metadata as metadata, importlib.util as util, json, sys
modules = {}
for name in json.loads(sys.argv[1]):
    try:
        modules[name] = util.find_spec(name) is not None
    except Exception:
        modules[name] = False
packages = {}
for found in metadata.distributions():
    name = found.metadata["Name"]
    if name:
        packages.setdefault(name.lower().replace("_", "-").replace(".", "-"), found.version)
owners = {}
if sys.argv[2:] and sys.version_info >= (3, 10):
    found = metadata.packages_distributions()
    owners = {name: sorted(set(found.get(name, []))) for name in modules}
answer = {"version": list(sys.version_info[:3]), "modules": modules, "packages": packages, "owners": owners}
print("\\n" + json.dumps(answer))
"""


class BrokenInterpreter(Exception):
    """An interpreter that cannot run an engine; the message says why, without naming it."""


@dataclass(frozen=True)
class Interpreter:
    """What an interpreter has.

    Args:
        version: Such as ``(3, 11, 7)``.
        modules: For each module that was asked for whether it is there.
        packages: Its distributions, by normalized names, with their versions.
        owners: The distributions that the modules come from, where that was asked for.
    """

    version: tuple[int, int, int]
    modules: dict[str, bool]
    packages: dict[str, str]
    owners: dict[str, list[str]]

    @property
    def missing(self) -> list[str]:
        """Return the modules that were asked for and are not there."""
        return [name for name, there in self.modules.items() if not there]


def look_at(python: str, modules: Iterable[str] = (), *, owners: bool = False) -> Interpreter:
    """Ask an interpreter what it has; takes some hundredths of a second.

    Args:
        python: The program.
        modules: Names of modules to look for; of dotted ones the first part.
        owners: Whether to find out where they come from, which takes longer.

    Raises:
        BrokenInterpreter: It does not run, or is too old.
    """
    names = list(dict.fromkeys(name.partition(".")[0] for name in modules))
    try:
        done = subprocess.run(
            [python, "-c", _QUESTION, json.dumps(names), *(["owners"] if owners else [])],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
            text=True,
            errors="replace",
            env=clean_variables(),
        )
    except subprocess.TimeoutExpired as exc:
        raise BrokenInterpreter(f"does not answer within {_PATIENCE:.0f} s") from exc
    except (OSError, ValueError) as exc:
        raise BrokenInterpreter(f"cannot be started: {exc}") from exc
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
        major, minor, micro = answer["version"]
        version = (major, minor, micro)
        found = Interpreter(version, answer["modules"], answer["packages"], answer["owners"])
    except (IndexError, ValueError, TypeError, KeyError) as exc:
        said = (done.stderr or done.stdout).strip().splitlines()
        told = f": {said[-1][:200]}" if said else f" (exit status {done.returncode})"
        raise BrokenInterpreter(f"is no Python that works{told}") from exc
    if found.version < _OLDEST:
        had, wanted = ".".join(map(str, found.version)), ".".join(map(str, _OLDEST))
        raise BrokenInterpreter(f"is Python {had}, and {wanted} or newer is needed")
    return found


class Looks:
    """Remembers what interpreters have, so that each is asked once for all homes that share it."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, tuple[str, ...]], list[str] | BrokenInterpreter] = {}

    def missing(self, python: str, modules: tuple[str, ...]) -> list[str]:
        """Return which of the modules an interpreter lacks, by the first part of their names.

        Raises:
            BrokenInterpreter: It does not run, or is too old.
        """
        key = (python, modules)
        if key not in self._seen:
            try:
                self._seen[key] = look_at(python, modules).missing
            except BrokenInterpreter as exc:
                self._seen[key] = exc
        found = self._seen[key]
        if isinstance(found, BrokenInterpreter):
            raise BrokenInterpreter(str(found))
        return found


def clean_variables() -> dict[str, str]:
    """Return this process's environment variables without those that lead another Python astray."""
    kept = {name: value for name, value in os.environ.items() if name not in _SHARED}
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1"}
