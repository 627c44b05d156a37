"""Environments that are built in no time: an interpreter that only pretends to make and fill them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hoonify_router.api import EngineEnvironment
from hoonify_router.environments import Built, EnvironmentStore, sync

STAND_IN = """#!/bin/sh
# `-m venv FOLDER` copies this very file, `-m pip` installs nothing; all else is for a real Python.
case "$2" in
venv)
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    ;;
pip)
    echo "$@" >> "{folder}/pip-runs"
    echo "Collecting parrot==1.0 (from -r lock.txt (line 1))"
    while [ -e "{folder}/hold" ]; do sleep 0.05; done
    if [ -e "{folder}/fail" ]; then
        echo "WARNING: it rains"
        echo "ERROR: No matching distribution found for parrot==1.0"
        exit 1
    fi
    ;;
*) exec {python} "$@" ;;
esac
"""


@dataclass
class Yard:
    """A place to build environments in.

    Args:
        folder: For all of it.
        python: The stand-in.
        environment: What is built.
        stages: What the last builds have told.
    """

    folder: Path
    python: Path
    environment: EngineEnvironment
    store: EnvironmentStore
    stages: list[str] = field(default_factory=list)

    @property
    def lock(self) -> Path:
        """Return the only lock of the environment."""
        return self.environment.locks[0]

    @property
    def pip_runs(self) -> list[str]:
        """Return the arguments of each run of pip."""
        runs = self.folder / "pip-runs"
        return runs.read_text().splitlines() if runs.exists() else []

    def sync_elsewhere(self) -> subprocess.Popen[bytes]:
        """Build in another process, which somebody may kill."""
        code = (
            "import sys; from pathlib import Path; from hoonify_router.api import EngineEnvironment;"
            "from hoonify_router.environments import EnvironmentStore, sync; a = sys.argv;"
            "sync(EngineEnvironment('parrot', 'cpu', (Path(a[1]),)), EnvironmentStore(Path(a[2])),"
            "requires=(), worker=False, python=a[3], report=print)"
        )
        arguments = [str(each) for each in (self.lock, self.store.folder, self.python)]
        return subprocess.Popen([sys.executable, "-c", code, *arguments])

    def sync(self, *requires: str, python: Path | None = None) -> Built:
        """Build."""
        return sync(
            self.environment,
            self.store,
            requires=requires,
            worker=False,
            python=str(python or self.python),
            report=lambda stage, done, total: self.stages.append(stage),
        )


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    """A lock with one package, and a stand-in for the programs that would install it."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # without uv, wherever it is
    lock = tmp_path / "lock.txt"
    lock.write_text("parrot==1.0\n")
    python = tmp_path / "stand-in"
    python.write_text(STAND_IN.format(folder=tmp_path, python=sys.executable))
    python.chmod(0o755)
    yield Yard(
        tmp_path,
        python,
        EngineEnvironment("parrot", "cpu", (lock,)),
        EnvironmentStore(tmp_path / "environments"),
    )
    (tmp_path / "hold").unlink(missing_ok=True)
