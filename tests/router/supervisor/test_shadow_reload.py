"""A shadow is added, changed, promoted and removed on a live router, and its model never notices."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.supervisor.outcomes import Outcome, Trigger

from .conftest import Running, StartSupervisor

pytestmark = pytest.mark.timeout(120)

MODEL = """
server: {{watch: false, gpu_budget: 10GiB}}
models:
  parrot:
    provider: Nobody
    context_length: 10
    backend: echo
    options: {{text: {text}}}
    gpu_memory: 6GiB
"""
SHADOW = "    shadow: {backend: echo, options: {text: TEXT}, gpu_memory: 4GiB}\n"


def yaml(text: str = "one", shadow: str = "") -> str:
    return MODEL.format(text=text) + (SHADOW.replace("TEXT", shadow) if shadow else "")


async def edit(running: Running, path: Path, text: str) -> Outcome:
    path.write_text(text)  # noqa: ASYNC240
    async with asyncio.timeout(60):
        return await running.supervisor._reloader.reload(Trigger("command", "ada"))


async def test_a_shadow_comes_changes_and_goes(supervise: StartSupervisor, tmp_path: Path) -> None:
    """Its model's home stays the very same; a shadow that runs makes way for the changed one."""
    running, path = await supervise(yaml()), tmp_path / "router.yaml"
    home = await running.until_state("ready")
    outcome = await edit(running, path, yaml(shadow="two"))
    assert (outcome.result, outcome.changes) == ("applied", ("parrot: shadow",))
    first = await running.client.ensure_ready("parrot/shadow")
    outcome = await edit(running, path, yaml(shadow="three"))
    assert (outcome.result, outcome.changes) == ("applied", ("parrot: shadow",))
    second = running.view("parrot/shadow")
    assert second.uid != first.uid
    outcome = await edit(running, path, yaml())
    assert (outcome.result, outcome.changes) == ("applied", ("parrot: shadow",))
    assert [one.id for one in running.client.table.homes] == ["parrot"]
    assert (running.view().uid, running.view().state) == (home.uid, "ready")


async def test_a_share_changes_without_touching_the_shadow(
    supervise: StartSupervisor, tmp_path: Path
) -> None:
    """It is the gateways that draw."""
    running, path = await supervise(yaml(shadow="two")), tmp_path / "router.yaml"
    await running.until_state("ready")
    before = await running.client.ensure_ready("parrot/shadow")
    text = yaml(shadow="two").replace("gpu_memory: 4GiB}", "gpu_memory: 4GiB, share: 0.5}")
    outcome = await edit(running, path, text)
    assert outcome.result == "applied"
    assert running.view("parrot/shadow").uid == before.uid
    comparison: Any = await running.client.ask("compare", {"model": "parrot"})
    assert comparison["share"] == 0.5


async def test_a_shadow_that_is_promoted_proves_itself_before_the_switch(
    supervise: StartSupervisor, tmp_path: Path
) -> None:
    """As any other new home does, although it may never have run."""
    running, path = await supervise(yaml(shadow="two")), tmp_path / "router.yaml"
    await running.until_state("ready")
    outcome = await edit(running, path, yaml("two").replace("6GiB", "4GiB"))
    assert outcome.result == "applied"
    since = [one.state for table in running.tables for one in table.homes if one.id == "parrot"]
    assert "starting" not in since[since.index("ready") :]
    assert [one.id for one in running.client.table.homes] == ["parrot"]


async def test_a_shadow_that_cannot_run_refuses_no_edit(
    supervise: StartSupervisor, tmp_path: Path
) -> None:
    """It says so; the model moves on."""
    running, path = await supervise(yaml()), tmp_path / "router.yaml"
    await running.until_state("ready")
    too_big = yaml("two", shadow="big").replace("4GiB", "40GiB")
    outcome = await edit(running, path, too_big.replace("gpu_memory: 6GiB", "gpu_memory: 5GiB"))
    assert outcome.result == "applied", outcome.problems
    assert running.view("parrot/shadow").state == "unavailable"
    assert running.view().state == "ready"
