"""``plugins new``: a distribution that works at once; `tests/e2e/test_scaffold.py` installs it."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.scaffold import KINDS

Run = Callable[..., Any]


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_a_whole_distribution(kind: str, run: Run, folder: Path) -> None:
    """Package, entry point, tests, CI file, README; nothing of the templates is left in it."""
    done = run("plugins", "new", kind, "night-owl", "--into", "mine")
    assert done.status == 0
    made = folder / "mine" / "hoonify-night-owl"
    assert str(Path("mine") / "hoonify-night-owl") in done.out
    project = tomllib.loads((made / "pyproject.toml").read_text())["project"]
    assert project["name"] == "hoonify-night-owl"
    points = project["entry-points"]["hoonify_router"]
    assert points == {"night_owl": "hoonify_night_owl"}
    for name in ("README.md", ".github/workflows/test.yml", "hoonify_night_owl/py.typed"):
        assert (made / name).is_file()
    assert list((made / "tests").glob("test_*.py"))
    for path in made.rglob("*.py"):
        ast.parse(path.read_text())
    for path in (one for one in made.rglob("*") if one.is_file()):
        assert "@name@" not in path.read_text()
        assert not path.name.endswith(".tmpl")


def test_it_overwrites_nothing(run: Run, folder: Path) -> None:
    """A folder that is there already is refused, and stays as it is."""
    (folder / "hoonify-owl").mkdir()
    done = run("plugins", "new", "backend", "owl")
    assert done.status == 2
    assert done.err == ["hoonify-owl: is there already; choose another name or --into"]
    assert not list((folder / "hoonify-owl").iterdir())


@pytest.mark.parametrize("name", ["Owl", "9owl", "night owl", "../owl", "", "o" * 41, "class"])
def test_names_must_be_of_use(name: str, run: Run, folder: Path) -> None:
    """It becomes a module, a distribution and a word in YAML."""
    done = run("plugins", "new", "backend", name)
    assert done.status == 2
    assert len(done.err) == 1
    assert "cannot be used" in done.err[0]
    assert not list(folder.glob("hoonify-*"))


def test_a_name_that_is_taken_is_told(run: Run) -> None:
    """It can be written, but not be used beside the other."""
    done = run("plugins", "new", "backend", "echo")
    assert done.status == 0
    assert any("'echo' is taken by an installed plugin" in line for line in done.warnings)
