"""Interpreters are asked what they have, in words that an operator understands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hoonify_router.environments import BrokenInterpreter, look_at


def script(path: Path, body: str) -> str:
    """Write a program that stands in for an interpreter."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_tells_what_it_has() -> None:
    """Modules by their first part, distributions with their versions, and what comes from where."""
    found = look_at(sys.executable, ("msgspec.json", "no_such_engine"), owners=True)
    assert found.version == sys.version_info[:3]
    assert found.modules == {"msgspec": True, "no_such_engine": False}
    assert found.missing == ["no_such_engine"]
    assert found.packages["msgspec"]
    assert found.owners["msgspec"] == ["msgspec"]


def test_nothing_of_ours_leaks_into_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the current folder nor PYTHONPATH is where an engine would find its modules."""
    (tmp_path / "no_such_engine.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert look_at(sys.executable, ("no_such_engine",)).missing == ["no_such_engine"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("echo 'libpython.so: no such file' >&2; exit 127", "no Python that works: libpython.so"),
        ("exit 3", "is no Python that works (exit status 3)"),
        ("echo hello", "is no Python that works: hello"),
        (
            """echo '{"version": [3, 9, 2], "modules": {}, "packages": {}, "owners": {}}'""",
            "is Python 3.9.2, and 3.11 or newer is needed",
        ),
    ],
)
def test_a_broken_interpreter_is_told(tmp_path: Path, body: str, told: str) -> None:
    """By its own last words."""
    with pytest.raises(BrokenInterpreter) as caught:
        look_at(script(tmp_path / "python", body))
    assert told in str(caught.value)


def test_what_is_no_program_is_told(tmp_path: Path) -> None:
    """A text file, say."""
    (tmp_path / "python").write_text("hello")
    with pytest.raises(BrokenInterpreter, match="cannot be started"):
        look_at(str(tmp_path / "python"))
