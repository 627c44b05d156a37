"""The wheel holds what it should, and nothing else."""

from __future__ import annotations

import configparser
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from hoonify_router.environments.packages import WORKER_LOCK
from hoonify_router.loader import load_plugins

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("hoonify_router", "hoonify_backends", "hoonify_plugins")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built once with the build tools of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_it_holds_the_three_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Neither tests nor a module named `router` land in site-packages."""
    top = {name.partition("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)


def test_it_is_typed_and_licensed(wheel: zipfile.ZipFile) -> None:
    """Type checkers use its annotations; its licence travels with it."""
    names = wheel.namelist()
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_its_entry_points_are_those_of_the_project(wheel: zipfile.ZipFile) -> None:
    """The built-in plugins are found by the very path that third parties use."""
    [name] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    found = configparser.ConfigParser()
    found.read_string(wheel.read(name).decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert dict(found["hoonify_router"]) == project["entry-points"]["hoonify_router"]
    assert dict(found["console_scripts"]) == project["scripts"]
    modules = {path[:-3].replace("/", ".").removesuffix(".__init__") for path in wheel.namelist()}
    assert set(found["hoonify_router"].values()) <= modules


def test_it_holds_what_environments_are_built_of(wheel: zipfile.ZipFile) -> None:
    """Every lock and every file that a backend ships, and the worker host's own lock."""
    wanted = [WORKER_LOCK]
    for backend in load_plugins().backends.values():
        for environment in backend.environments:
            wanted += environment.locks
            wanted += [path for folder in environment.files for path in folder.rglob("*.*")]
    names = set(wheel.namelist())
    for path in wanted:  # from a checkout or from an installed wheel
        package = next(part for part in path.parts if part in PACKAGES)
        assert "/".join(path.parts[path.parts.index(package) :]) in names


def test_the_pages_travel_with_all_that_they_are_made_of(wheel: zipfile.ZipFile) -> None:
    """Templates, style sheets and scripts."""
    folder = ROOT / "plugins" / "hoonify_plugins" / "pages"
    parts = {
        f"hoonify_plugins/pages/{path.relative_to(folder)}"
        for kind in ("templates", "static")
        for path in (folder / kind).rglob("*.*")
    }
    assert len(parts) > 20
    assert parts <= set(wheel.namelist())
