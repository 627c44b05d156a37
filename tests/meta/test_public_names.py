"""What plugin authors may import is pinned: a change of it is a decision, not an accident."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest

PINNED = Path(__file__).with_name("public_names.txt")


def pinned() -> dict[str, list[str]]:
    """Return the names by module, as the file beside this one has them."""
    modules: dict[str, list[str]] = {}
    for line in PINNED.read_text().splitlines():
        module, _, name = line.partition(" ")
        modules.setdefault(module, []).append(name)
    return modules


def public_names(name: str) -> list[str]:
    """Return what a module says is public, or else what it defines without an underscore."""
    module = importlib.import_module(name)
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    found: set[str] = set()
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return sorted(name for name in found if not name.startswith("_"))


@pytest.mark.parametrize("name", pinned())
def test_the_public_names_are_the_pinned_ones(name: str) -> None:
    """Whoever adds or removes a public name says so in `public_names.txt`."""
    assert public_names(name) == pinned()[name]
