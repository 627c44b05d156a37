"""``serve``: refuses what ``check`` refuses, else hands over to the app."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put a fake in the app's place and return what it is called with."""
    calls: list[dict[str, Any]] = []

    def serve(loaded: Any, **arguments: Any) -> int:
        calls.append({"models": list(loaded.config.models), **arguments})
        return 0

    app = ModuleType("hoonify_router.app")
    app.serve = serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hoonify_router.app", app)
    return calls


def test_it_hands_over_to_the_app(run: Run, served: list[dict[str, Any]]) -> None:
    """What the command line leaves out, the file decides."""
    assert run("serve").status == 0
    assert served == [{"models": ["parrot"], "host": None, "port": None, "workers": None}]


def test_the_command_line_wins_over_the_file(run: Run, served: list[dict[str, Any]]) -> None:
    """Host, port and workers."""
    assert run("serve", "--host", "0.0.0.0", "--port", "0", "--workers", "3").status == 0
    assert served == [{"models": ["parrot"], "host": "0.0.0.0", "port": 0, "workers": 3}]


def test_a_mistake_in_the_file_is_refused_before_anything_starts(
    run: Run, served: list[dict[str, Any]], folder: Path
) -> None:
    """With the very lines of `check`."""
    path = folder / "config" / "router.yaml"
    path.write_text(path.read_text().replace("provider:", "provder:"))
    done = run("serve")
    assert done.status == 2
    assert done.err == run("check").err
    assert any("provder" in line for line in done.err)
    assert served == []


def test_a_state_folder_that_cannot_be_made_is_one_line(
    run: Run, served: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything starts, for serve and for plugins' commands."""
    monkeypatch.setenv("HOONIFY_STATE_DIR", "/dev/null/state")
    for words in (["serve"], ["keys", "list"]):
        done = run(*words)
        assert done.status == 2
        assert done.err == [
            "hoonify-router: the state folder /dev/null/state cannot be made: Not a directory;"
            " name another one with HOONIFY_STATE_DIR or `server: state_dir:`"
        ]
    assert served == []
