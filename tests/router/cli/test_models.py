"""``models``: the catalog, and how each home does."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_router.cli import models
from hoonify_router.types import HomeView

Run = Callable[..., Any]
Install = Callable[..., Path]

CATALOG = """
models:
  parrot: {provider: Nobody, context_length: 4096, backend: echo}
  tiny: {provider: Us, context_length: 512, backend: onnxruntime, options: {model: nowhere}}
  twins:
    provider: Two
    context_length: 8
    homes:
      - {backend: echo}
      - {backend: absent}
"""
ABSENT = """
@hookimpl
def hoonify_register_backends():
    return [WorkerBackend("absent", "x", Options, "a.b:C", requires=("os", "not_there_at_all"), extra="gpu")]
"""


@pytest.fixture(autouse=True)
def catalog(folder: Path, install: Install) -> None:
    """Write a configuration with four homes."""
    install("acme", absent=ABSENT)
    (folder / "config" / "router.yaml").write_text(CATALOG)


def test_without_a_router_it_tells_what_could_run(run: Run) -> None:
    """Each home with the reason, and a note on standard error that none of them runs."""
    done = run("models")
    assert done.status == 0
    assert done.err == [
        "no router runs on config/router.yaml: these are the homes that could run here"
    ]
    head, *lines = done.out.splitlines()
    assert head.split() == ["ID", "PROVIDER", "CONTEXT", "BACKEND", "STATE", "REASON"]
    assert [line.split()[:5] for line in lines] == [
        ["parrot", "Nobody", "4096", "echo", "available"],
        ["tiny", "Us", "512", "onnxruntime", "unavailable"],
        ["twins", "Two", "8", "echo", "available"],
        ["twins", "Two", "8", "absent", "unavailable"],
    ]
    assert "not_there_at_all" in lines[3]
    assert "pip install 'hoonify-router[gpu]'" in lines[3]


def test_as_json(run: Run) -> None:
    """For scripts: reason and detail apart, null where there is none."""
    rows = json.loads(run("models", "--json").out)
    assert [row["home"] for row in rows] == ["parrot", "tiny", "twins/0", "twins/1"]
    assert rows[0] == {
        "id": "parrot",
        "provider": "Nobody",
        "context_length": 4096,
        "home": "parrot",
        "backend": "echo",
        "state": "available",
        "reason": None,
        "detail": None,
        "retry_after": None,
    }
    assert "not_there_at_all" in rows[3]["reason"]


def test_an_interpreter_of_its_own_is_asked(run: Run, folder: Path) -> None:
    """What is installed there is not what is installed here."""
    text = CATALOG + f"backends:\n  absent: {{python: {sys.executable}}}\n"
    (folder / "config" / "router.yaml").write_text(text)
    row = json.loads(run("models", "--json").out)[3]
    assert row["state"] == "unavailable"
    assert row["reason"] == "The environment of its engine is not complete."
    assert row["detail"] == f"python: {sys.executable} lacks not_there_at_all"


def test_a_check_that_raises_makes_its_home_unavailable(
    run: Run, install: Install, folder: Path
) -> None:
    """And hides no other."""
    install(
        "b",
        odd="def check(options, home, base_dir):\n    1 / 0\n"
        + ABSENT.replace('"absent"', '"odd"').replace('extra="gpu"', "check=check"),
    )
    (folder / "config" / "router.yaml").write_text(CATALOG.replace("absent", "odd"))
    rows = json.loads(run("models", "--json").out)
    assert rows[3]["state"] == "unavailable"
    assert "ZeroDivisionError" in rows[3]["detail"]
    assert rows[0]["state"] == "available"


def test_a_running_router_is_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its word counts; a home that it does not know is told as such."""

    def homes(loaded: Any) -> Mapping[str, HomeView]:
        ready = HomeView("parrot", "parrot", "echo", "worker", "ready")
        failed = HomeView(
            "tiny", "tiny", "onnxruntime", "worker", "failed", reason="It broke.", detail="exit 1"
        )
        failed = msgspec.structs.replace(failed, retry_after=9.2)
        loading = HomeView("twins/0", "twins", "echo", "worker", "loading", progress=("eat", 1, 3))
        return {"parrot": ready, "tiny": failed, "twins/0": loading}

    monkeypatch.setattr(models, "homes_of_running_router", homes)
    done = run("models", "--json")
    rows = json.loads(done.out)
    assert done.err == []
    assert [row["state"] for row in rows] == ["ready", "failed", "loading", "stopped"]
    assert (rows[1]["reason"], rows[1]["detail"]) == ("It broke.", "exit 1")
    assert [row["retry_after"] for row in rows] == [None, 10, None, None]
    assert "not in the running router" in rows[3]["reason"]
    _, _, tiny, loading, _ = run("models").out.splitlines()
    assert tiny.endswith("It broke. (exit 1) Next try in 10 s.")
    assert loading.endswith("eat, 1 of 3")
