"""An engine in an environment of its own: it holds the engine's libraries, the router's code comes along."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.api import EngineEnvironment
from hoonify_router.environments import EnvironmentStore, building, sync

YAML = "models: {parrot: {provider: N, context_length: 100, backend: echo}}"


@pytest.mark.slow  # a real venv
async def test_an_engine_runs_in_the_environment_that_was_built_for_it(
    supervise: Any, plugins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is that environment's Python, which has nothing of the router installed."""
    import msgspec
    import pluggy

    site, lock = tmp_path / "site", tmp_path / "none.txt"
    lock.touch()
    monkeypatch.setattr(building, "WORKER_LOCK", lock)  # nothing is fetched
    monkeypatch.delenv("HOONIFY_ENVIRONMENTS", raising=False)
    for module in (msgspec, pluggy):
        assert module.__file__ is not None
        shutil.copytree(Path(module.__file__).parent, site / module.__name__)
    environment = EngineEnvironment("echo", "cpu", (), (site,))
    echo = dataclasses.replace(
        plugins.backends["echo"], requires=("msgspec",), environments=(environment,)
    )
    built = sync(
        environment,
        EnvironmentStore(tmp_path / "var" / "environments"),
        requires=echo.requires,
        worker=True,
        python=None,
        report=lambda stage, done, total: None,
    )
    running = await supervise(YAML, using=dataclasses.replace(plugins, backends={"echo": echo}))
    sink = await running.ask("hello there")
    await sink.ended.wait()
    assert (sink.text, sink.error) == ("hello there", None)
    assert _program(await running.engine()) in (str(built.python), "")


def _program(pid: int) -> str:
    """Return what a process was started as; empty where the system does not tell."""
    command = Path(f"/proc/{pid}/cmdline")
    return command.read_bytes().split(b"\0")[0].decode() if command.exists() else ""
