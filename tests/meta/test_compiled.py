"""What the compiled wheel is made of is there, whether it is built or not."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hook() -> ModuleType:
    """The build hook, as hatchling loads it."""
    path = ROOT / "requirements" / "compiled_wheel.py"
    spec = importlib.util.spec_from_file_location("compiled_wheel", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_list_names_modules_that_are_there(hook: ModuleType) -> None:
    """Each once; who moves a module moves it here, too."""
    modules = hook.modules()
    assert len(set(modules)) == len(modules) > 0
    assert [module for module in modules if not (ROOT / hook.source_of(module)).is_file()] == []


def test_no_abstract_class_is_compiled(hook: ModuleType) -> None:
    """Compiled ones share a cache of ``isinstance``, and are taken for each other."""
    abstract = re.compile(r"^class .*\b(ABC|ABCMeta)\b|^from abc import|^import abc", re.MULTILINE)
    sources = {module: (ROOT / hook.source_of(module)).read_text() for module in hook.modules()}
    assert [module for module, source in sources.items() if abstract.search(source)] == []


def test_a_module_that_is_not_there_is_told_in_one_line(hook: ModuleType) -> None:
    """With the file to change."""
    with pytest.raises(hook.CannotCompile) as told:
        hook.source_of("hoonify_router.gone")
    assert str(told.value) == (
        "compiled-modules.txt lists hoonify_router.gone, which is not there; take it out"
    )


def test_what_a_machine_lacks_is_told_in_one_line(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiler, for one."""
    monkeypatch.setenv("CC", "no-such-compiler -O1")
    with pytest.raises(hook.CannotCompile) as told:
        hook.check_machine()
    assert str(told.value) == (
        "a C compiler is needed (no-such-compiler); on Debian: apt install gcc libc6-dev"
    )


def test_it_is_asked_for_and_pinned() -> None:
    """Nobody who installs needs a compiler; who asks for one gets the mypyc that is tested."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    custom = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    assert custom["enable-by-default"] is False
    [needed] = custom["dependencies"]
    version = needed.removeprefix("mypy[mypyc]==")
    assert f"\nmypy=={version} " in (ROOT / "requirements" / "dev.txt").read_text()
