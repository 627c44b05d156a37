"""Environments are built whole or not at all, once, and stay in use until another takes their place."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.api import EngineEnvironment
from hoonify_router.environments import BuildFailed, EnvironmentStore, is_outdated, sync

PATIENCE = 60.0


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition that comes true in its own time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_a_sync_builds_what_the_lock_says(yard: Any) -> None:
    """Just what it lists, under the environment's own Python; the mark tells what is in it."""
    built = yard.sync("json")
    assert built.folder.parent == yard.store.folder
    assert built.folder.name.startswith("parrot-cpu-")
    assert built.link.resolve() == built.folder
    assert "msgspec" in built.mark.packages  # of the Python behind the stand-in
    (run,) = yard.pip_runs
    assert "--no-deps" in run
    assert run.endswith(f"--requirement {yard.lock}")
    assert yard.stages[0] == "making the environment"
    assert "fetching parrot" in yard.stages


def test_what_is_built_is_not_built_again(yard: Any) -> None:
    """Until the lock changes; then the old one is outdated, and gives way."""
    first = yard.sync()
    assert yard.sync().folder == first.folder
    assert len(yard.pip_runs) == 1
    assert not is_outdated(yard.environment, first, worker=False)
    yard.lock.write_text("parrot==1.1\n")
    assert is_outdated(yard.environment, first, worker=False)
    assert yard.store.current(yard.environment) == first  # it still serves
    second = yard.sync()
    assert second.folder != first.folder
    assert not first.folder.exists()
    assert yard.store.current(yard.environment) == second


def test_files_beside_the_lock_count_too(yard: Any, tmp_path: Path) -> None:
    """A change in what is laid into an environment makes another one of it."""
    first = yard.sync()
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "plugin.py").write_text("x = 1\n")
    environment = replace(yard.environment, files=(extra,))
    assert is_outdated(environment, first, worker=False)


def test_an_old_environment_stays_while_an_engine_runs_in_it(yard: Any) -> None:
    """The next sync after its end removes it."""
    first = yard.sync()
    with subprocess.Popen(
        [first.python, "-c", f"import sys; sys.stdin.read()  # {first.python}"],
        stdin=subprocess.PIPE,
    ) as engine:
        yard.lock.write_text("parrot==1.1\n")
        yard.sync()
        assert first.folder.exists()
        assert engine.stdin is not None
        engine.stdin.close()
    yard.sync()
    assert not first.folder.exists()


def test_a_failed_build_leaves_what_was_in_use(yard: Any, tmp_path: Path) -> None:
    """One line says what went wrong, and a file holds the rest."""
    first = yard.sync()
    yard.lock.write_text("parrot==1.1\n")
    (tmp_path / "fail").touch()
    with pytest.raises(BuildFailed) as caught:
        yard.sync()
    told = str(caught.value)
    assert "parrot-cpu cannot be built: ERROR: No matching distribution found" in told
    assert "\n" not in told
    assert "it rains" in (yard.store.folder / "parrot-cpu.log").read_text()
    assert yard.store.current(yard.environment) == first
    (tmp_path / "fail").unlink()
    assert yard.sync().folder != first.folder


def test_what_lacks_a_module_is_not_taken_into_use(yard: Any) -> None:
    """A lock that forgets something is found out at once, not by an engine's first start."""
    with pytest.raises(BuildFailed, match="no_such_engine is not in it"):
        yard.sync("json", "no_such_engine.core")
    assert yard.store.current(yard.environment) is None


def test_a_python_that_does_not_work_builds_nothing(yard: Any, tmp_path: Path) -> None:
    """Its name and its trouble are told."""
    with pytest.raises(BuildFailed, match="/nowhere/python cannot be started"):
        yard.sync(python=Path("/nowhere/python"))


def test_two_syncs_at_once_build_once(yard: Any, tmp_path: Path) -> None:
    """The second waits for the first and finds all in place."""
    (tmp_path / "hold").touch()
    built: list[Any] = []
    syncs = [threading.Thread(target=lambda: built.append(yard.sync())) for _ in range(2)]
    for thread in syncs:
        thread.start()
    until(lambda: yard.pip_runs and "another sync builds it, waiting" in yard.stages)
    (tmp_path / "hold").unlink()
    for thread in syncs:
        thread.join(PATIENCE)
    assert built[0].folder == built[1].folder
    assert len(yard.pip_runs) == 1


def test_a_killed_sync_counts_for_nothing(yard: Any, tmp_path: Path) -> None:
    """What it has left running is waited for; what it has left lying is cleared away."""
    (tmp_path / "hold").touch()
    with yard.sync_elsewhere() as victim:
        until(lambda: yard.pip_runs)
        victim.kill()
    (left,) = [path for path in yard.store.folder.iterdir() if path.is_dir()]
    (left / "half-written").touch()
    assert yard.store.current(yard.environment) is None
    second = threading.Thread(target=yard.sync)
    second.start()
    until(lambda: "another sync builds it, waiting" in yard.stages)
    (tmp_path / "hold").unlink()
    second.join(PATIENCE)
    current = yard.store.current(yard.environment)
    assert current is not None
    assert not (current.folder / "half-written").exists()
    assert len(yard.pip_runs) == 2


def test_an_environment_whose_python_is_gone_is_built_again(yard: Any) -> None:
    """Such as after an upgrade of the machine."""
    first = yard.sync()
    first.python.unlink()
    assert yard.store.current(yard.environment) is None
    assert yard.sync().python.exists()
    assert len(yard.pip_runs) == 2


def wheel(folder: Path, name: str, version: str, source: str) -> None:
    """Write a wheel that pip takes."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", source)
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(
            f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )


@pytest.mark.slow  # a real venv and a real pip
def test_a_real_environment_holds_what_it_should(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The locked version of a package, and the files that the backend lays beside it."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for version in ("1.0", "2.0"):
        wheel(tmp_path, "parrot", version, f"VERSION = {version!r}\nimport cage\n")
    lock = tmp_path / "lock.txt"
    lock.write_text("parrot==1.0\n")
    files = tmp_path / "files"
    files.mkdir()
    (files / "cage.py").write_text("SIZE = 2\n")
    built = sync(
        EngineEnvironment("parrot", "cpu", (lock,), (files,)),
        EnvironmentStore(tmp_path / "environments"),
        requires=("parrot", "cage"),
        worker=False,
        python=sys.executable,
        report=lambda stage, done, total: None,
    )
    assert built.mark.packages["parrot"] == "1.0"
    code = "import parrot, cage, sys; print(parrot.VERSION, cage.SIZE, sys.prefix)"
    done = subprocess.run([built.python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1.0", "2", str(built.folder)]


UV = """#!/bin/sh
echo "$@" "index=$UV_INDEX" "links=$UV_FIND_LINKS" >> "{folder}/uv-runs"
case "$1" in
venv)
    for last; do :; done
    mkdir -p "$last/bin"
    cp "{folder}/stand-in" "$last/bin/python"
    ;;
esac
"""


def test_uv_is_used_where_it_is_installed(
    yard: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told where pip would look for packages, since it does not read pip's settings."""
    monkeypatch.setenv("PATH", f"{tmp_path}/programs:/usr/bin:/bin")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv(
        "PIP_EXTRA_INDEX_URL", "https://one.example/simple https://two.example/simple"
    )
    monkeypatch.setenv("PIP_FIND_LINKS", "/opt/links")
    monkeypatch.delenv("UV_INDEX", raising=False)
    monkeypatch.setenv("UV_FIND_LINKS", "/what/uv/is/told")
    uv = tmp_path / "programs" / "uv"
    uv.parent.mkdir()
    uv.write_text(UV.format(folder=tmp_path))
    uv.chmod(0o755)
    built = yard.sync()
    made, filled = (tmp_path / "uv-runs").read_text().splitlines()
    assert made.startswith(f"venv --quiet --python {yard.python} {built.folder} ")
    assert filled == (
        f"pip install --python {built.python} --no-deps --requirement {yard.lock}"
        " index=https://one.example/simple https://two.example/simple links=/what/uv/is/told"
    )
    assert yard.pip_runs == []
    assert yard.stages[0] == "making the environment with uv"
