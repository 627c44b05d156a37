"""What the configuration becomes, and why a home cannot run here."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_router.api import Backend, EngineEnvironment, ServerBackend, Unavailable, WorkerBackend
from hoonify_router.config import load_config
from hoonify_router.environments import EnvironmentStore
from hoonify_router.environments.store import Mark
from hoonify_router.supervisor.lifecycle import Limits
from hoonify_router.supervisor.plan import HomePlan, plan_homes, why_unavailable


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """A few."""

    model: str = ""
    slots: int = 1


WORKER = WorkerBackend("worker", "A library.", Options, "engine:Engine")
SERVER = ServerBackend("server", "A server.", Options)
ENVIRONMENT = EngineEnvironment("e", "cpu", ())


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """``plan(yaml, backend)``: loaded configuration and plans for it."""

    def make(text: str, *backends: Backend) -> tuple[Any, list[HomePlan]]:
        known = {backend.name: backend for backend in backends}
        path = tmp_path / "router.yaml"
        path.write_text(text)
        options = {name: backend.options for name, backend in known.items()}
        loaded = load_config(path, backend_options=options, plugin_settings={}, env={})
        return loaded, plan_homes(loaded, known, Limits(cool_down=1.0))

    return make


def model(**fields: Any) -> str:
    known = {"provider": "Nobody", "context_length": 10, **fields}
    return f"models: {{m: {msgspec.json.encode(known).decode()}}}"


def test_plans_know_all_that_a_home_needs(plan: Any, tmp_path: Path) -> None:
    """Options with the backend's defaults, limits, interpreter, in the order of the file."""
    _, (first, second, third) = plan(
        """
backends:
  worker:
    python: env/bin/python
    options: {slots: 4, model: default}
    load_stall: 1m
    drain_timeout: 5
models:
  b: {provider: N, context_length: 10, backend: worker, options: {model: mine}, start: on_demand}
  a:
    provider: N
    context_length: 10
    homes: [{backend: worker, python: /opt/python}, {backend: server, url: "http://x:1"}]
""",
        WORKER,
        SERVER,
    )
    assert [first.id, second.id, third.id] == ["b", "a/0", "a/1"]
    assert first.options == {"slots": 4, "model": "mine"}
    assert not first.always
    assert second.always
    assert (first.limits.load_stall, first.limits.drain_timeout) == (60.0, 5.0)
    assert first.limits.cool_down == 1.0
    assert third.limits == Limits(cool_down=1.0)
    assert first.interpreter == str(tmp_path / "env/bin/python")
    assert second.interpreter == "/opt/python"
    assert third.interpreter == sys.executable


def test_a_home_that_lacks_nothing_is_available(plan: Any) -> None:
    """By default, and with modules that are there."""
    backend = WorkerBackend("w", "", Options, "e:E", requires=("json", "os.path"))
    loaded, (home,) = plan(model(backend="w"), backend)
    assert why_unavailable(loaded, home) is None


def test_missing_modules_are_named_with_a_hint(plan: Any) -> None:
    """For our own interpreter, and for one that the configuration names, which is asked."""
    backend = WorkerBackend(
        "w", "", Options, "e:E", requires=("json", "no_such_engine.core"), extra="engine"
    )
    loaded, (home,) = plan(model(backend="w"), backend)
    assert why_unavailable(loaded, home) == Unavailable(
        "Its engine (no_such_engine) is not installed.",
        "install no_such_engine: pip install 'hoonify-router[engine]'",
    )
    loaded, (home,) = plan(model(backend="w", python=sys.executable), backend)
    assert why_unavailable(loaded, home) == Unavailable(
        "The environment of its engine is not complete.",
        f"python: {sys.executable} lacks no_such_engine",
    )
    loaded, (home,) = plan(model(backend="w"), replace(backend, environments=(ENVIRONMENT,)))
    found = why_unavailable(loaded, home)
    assert found is not None
    assert found.detail == "run: hoonify-router env sync w"


def test_an_interpreter_that_does_not_work_is_told(plan: Any, tmp_path: Path) -> None:
    """Its own last word is the reason; the same for all homes, asked once."""
    python = tmp_path / "python"
    python.write_text(
        f"#!/bin/sh\necho x >> {tmp_path}/asked\necho 'no such library' >&2\nexit 3\n"
    )
    python.chmod(0o755)
    homes = [{"backend": "worker", "python": "./python"}] * 3
    loaded, plans = plan(model(homes=homes), WORKER)
    for home in plans:
        assert why_unavailable(loaded, home) == Unavailable(
            "The environment of its engine does not work.",
            "python: ./python is no Python that works: no such library",
        )
    assert (tmp_path / "asked").read_text() == "x\n"


def test_a_built_environment_is_where_an_engine_runs(plan: Any, tmp_path: Path) -> None:
    """The one for what the home computes on; `python:` wins; a removed one is not used."""
    store = EnvironmentStore(tmp_path / "var" / "environments")
    gpu = replace(ENVIRONMENT, accelerator="cuda")
    built = {}
    for each in (ENVIRONMENT, gpu):
        folder = store.place_for(each, "0123456789abcdef")
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").symlink_to(sys.executable)
        store.finish(folder, Mark("0123456789abcdef", "3.11", {}))
        built[each.accelerator] = store.adopt(each, folder)
    backend = WorkerBackend(
        "w",
        "",
        Options,
        "e:E",
        requires=("no_such_engine",),
        environments=(ENVIRONMENT, gpu),
        accelerator=lambda options: "cpu" if options.slots == 7 else None,  # type: ignore[attr-defined]
    )
    loaded, (home,) = plan(model(backend="w"), backend)
    assert why_unavailable(loaded, home) is None
    assert home.interpreter == str(built["cuda"].python)
    assert home.home.python == str(tmp_path / "var" / "environments" / "e-cuda" / "bin" / "python")
    _, (home,) = plan(model(backend="w", options={"slots": 7}), backend)
    assert home.interpreter == str(built["cpu"].python)
    _, (home,) = plan(model(backend="w", python="/opt/python"), backend)
    assert home.interpreter == "/opt/python"
    for each in built.values():
        each.python.unlink()
    _, (home,) = plan(model(backend="w"), backend)
    assert home.interpreter == sys.executable


def test_the_backends_own_check_comes_first(plan: Any, tmp_path: Path) -> None:
    """It sees typed options, the home and the folder; a broken check is told as such."""
    seen: list[Any] = []

    def check(options: Any, home: Any, base_dir: Path) -> Unavailable | None:
        seen.append((options, home.backend, base_dir))
        if options.slots == 2:
            raise KeyError("oops")
        return Unavailable("No.", "never") if options.slots == 3 else None

    backend = WorkerBackend("w", "", Options, "e:E", check=check)
    results = [
        why_unavailable(loaded, home)
        for slots in (1, 2, 3)
        for loaded, (home,) in [plan(model(backend="w", options={"slots": slots}), backend)]
    ]
    assert results[0] is None
    assert results[1] is not None
    assert "KeyError" in results[1].detail
    assert results[2] == Unavailable("No.", "never")
    assert seen[0] == (Options(slots=1), "w", tmp_path)


def test_a_server_without_an_address_is_unavailable(plan: Any) -> None:
    """We attach to servers, we do not start them."""
    loaded, (home,) = plan(model(backend="server"), SERVER)
    found = why_unavailable(loaded, home)
    assert found is not None
    assert "url:" in found.detail
    loaded, (home,) = plan(model(backend="server", url="http://x:1"), SERVER)
    assert why_unavailable(loaded, home) is None


@pytest.mark.parametrize("python", ["/nowhere/python", "./missing/python", "no-such-python-3"])
def test_a_missing_interpreter_is_unavailable(plan: Any, python: str) -> None:
    """Its path is for the operator only."""
    loaded, (home,) = plan(model(backend="worker", python=python), WORKER)
    found = why_unavailable(loaded, home)
    assert found is not None
    assert python in found.detail
    assert python not in found.reason
