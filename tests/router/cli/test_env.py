"""``env``: what there is, what is built of it, and what an engine lacks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Install = Callable[..., Path]

PARROT = """
from pathlib import Path
from hoonify_router.api import EngineEnvironment

LOCK = Path({lock!r})
CPU = EngineEnvironment("parrot", "cpu", (LOCK,))
GPU = EngineEnvironment("parrot", "cuda", (LOCK,))

@hookimpl
def hoonify_register_backends():
    return [
        WorkerBackend(
            "parrot", "Says it again.", Options, "engine:Engine", requires=("msgspec", "json"),
            environments=(CPU, GPU), accelerator=lambda options: options.on,
        ),
        WorkerBackend("bare", "Needs much.", Options, "engine:Engine", requires=("no_such_engine",)),
    ]
"""
STAND_IN = """#!/bin/sh
case "$2" in
venv) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
pip) [ ! -e "{folder}/fail" ] || {{ echo "ERROR: no such package"; exit 1; }} ;;
*) exec {python} "$@" ;;
esac
"""
MODELS = """
models:
  m: {provider: p, context_length: 1, backend: parrot, options: {on: cpu}}
"""


@pytest.fixture
def python(tmp_path: Path, folder: Path, install: Install, monkeypatch: pytest.MonkeyPatch) -> str:
    """A plugin with environments, and a Python that makes them in no time."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # without uv, wherever it is
    lock = tmp_path / "lock.txt"
    lock.write_text("parrot==1.0\n")
    options = "class Options(Struct, forbid_unknown_fields=True):\n    on: str | None = None\n"
    install("acme", acme=options + PARROT.format(lock=str(lock)))
    (folder / "config" / "router.yaml").write_text(MODELS)
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN.format(folder=tmp_path, python=sys.executable))
    stand_in.chmod(0o755)
    return str(stand_in)


def rows(run: Run) -> dict[tuple[str, str], Any]:
    """Return what ``env list --json`` says of the plugin."""
    listed = json.loads(run("env", "list", "--json").out)
    return {
        (row["environment"], row["accelerator"]): row
        for row in listed
        if row["environment"] == "parrot"
    }


def test_a_sync_builds_what_the_homes_need(run: Run, python: str, folder: Path) -> None:
    """It says how far it is on standard error, and where the environment is in the end."""
    assert {row["state"] for row in rows(run).values()} == {"not built"}
    done = run("env", "sync", "parrot", "--python", python)
    assert done.status == 0
    assert done.out.startswith(f"parrot-cpu is ready: {folder}/config/var/environments/parrot-cpu-")
    assert done.err[0] == "parrot-cpu: making the environment"
    found = rows(run)
    assert found["parrot", "cpu"]["state"] == "ready"
    assert found["parrot", "cpu"]["backends"] == ["parrot"]
    assert found["parrot", "cuda"]["state"] == "not built"
    table = run("env", "list").out
    assert "parrot" in table
    assert "not built" in table


def test_an_accelerator_can_be_named(run: Run, python: str) -> None:
    """Whatever the homes say."""
    done = run("env", "sync", "parrot", "--accelerator", "cuda", "--python", python)
    assert done.out.startswith("parrot-cuda is ready: ")


def test_all_that_the_homes_insist_on_is_built(run: Run, python: str, folder: Path) -> None:
    """One environment for each accelerator."""
    more = "  n: {provider: p, context_length: 1, backend: parrot, options: {on: cuda}}\n"
    (folder / "config" / "router.yaml").write_text(MODELS + more)
    built = run("env", "sync", "parrot", "--python", python).out.splitlines()
    assert [line.partition(" ")[0] for line in built] == ["parrot-cpu", "parrot-cuda"]


def test_an_environment_that_cannot_be_built_is_one_line(
    run: Run, python: str, tmp_path: Path
) -> None:
    """With what pip said of it; it is no mistake of the user's."""
    (tmp_path / "fail").touch()
    done = run("env", "sync", "parrot", "--python", python)
    assert done.status == 1
    assert done.err[-1].startswith(
        "hoonify-router: parrot-cpu cannot be built: ERROR: no such package (all that was said: "
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("sync", "parot"), "there is no backend 'parot', did you mean 'parrot'?"),
        (("sync", "bare"), "backend 'bare' ships no environment"),
        (("sync", "parrot", "--accelerator", "tpu"), "--accelerator: there is no 'tpu'"),
        (("doctor", "parot"), "there is no backend 'parot'"),
        (("build",), "there is no action 'build'"),
    ],
)
@pytest.mark.usefixtures("python")
def test_mistakes_are_one_line(run: Run, words: tuple[str, ...], complaint: str) -> None:
    """With what there is."""
    done = run("env", *words)
    assert (done.status, done.out) == (2, "")
    assert len(done.err) == 1
    assert complaint in done.err[0]


def test_a_sync_of_nothing_says_so(run: Run, python: str) -> None:
    """Homes that have what they need in the router's own environment need no other."""
    done = run("env", "sync", "--python", python)
    assert (done.status, done.out) == (0, "")
    assert done.err == [
        "every model has what it needs; name a backend to build its environment all the same"
    ]


def test_the_doctor_tells_what_each_backend_has_and_lacks(run: Run, python: str) -> None:
    """As text for people, as JSON for programs; for one backend or all."""
    done = run("env", "doctor", "parrot")
    assert done.status == 0
    assert f"  interpreter  {sys.executable} (Python {sys.version.split()[0]})" in done.out
    assert "  engine       msgspec " in done.out
    assert "  missing      nothing" in done.out
    found = json.loads(run("env", "doctor", "--json").out)
    assert set(found["machine"]) == {"gpus", "driver", "cuda", "missing"}
    backends = {each["backend"]: each for each in found["backends"]}
    assert backends["bare"]["missing"] == "It has no no_such_engine."
    run("env", "sync", "parrot", "--accelerator", "cuda", "--python", python)
    found = json.loads(run("env", "doctor", "parrot", "--json").out)["backends"]
    assert [each["environment"] for each in found] == ["", "parrot-cuda"]
    assert backends["echo"]["engine"] == "none of its own"


def test_the_doctor_tells_of_an_environment_that_is_outdated(
    run: Run, python: str, tmp_path: Path
) -> None:
    """And what to do about it."""
    run("env", "sync", "parrot", "--python", python)
    (found,) = json.loads(run("env", "doctor", "parrot", "--json").out)["backends"]
    assert (found["environment"], found["missing"]) == ("parrot-cpu", "")
    (tmp_path / "lock.txt").write_text("parrot==2.0\n")
    assert rows(run)["parrot", "cpu"]["state"] == "outdated"
    (found,) = json.loads(run("env", "doctor", "parrot", "--json").out)["backends"]
    assert found["missing"] == (
        "It is built of older requirements; run: hoonify-router env sync parrot --accelerator cpu"
    )
