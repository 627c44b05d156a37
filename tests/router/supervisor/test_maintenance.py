"""Homes are drained, stopped, started and restarted by hand, and no request is lost by it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.errors import InvalidRequest, ModelNotFound, ModelUnavailable
from hoonify_router.supervisor.holds import Holds
from hoonify_router.supervisor.supervisor import SOCKET_NAME

from .conftest import Running, StartSupervisor

PARROT = "models: {parrot: {provider: Nobody, context_length: 4096, backend: echo}}"
TWINS = """
models:
  twins:
    provider: Nobody
    context_length: 4096
    homes: [{backend: echo}, {backend: echo}]
"""
SLEEPER = """
models: {parrot: {provider: Nobody, context_length: 4096, backend: echo, start: on_demand}}
"""
BROKEN = """
models:
  parrot: {provider: Nobody, context_length: 4096, backend: echo, options: {load_crash: true}}
"""

Counts = dict[str, tuple[int, int]]


@pytest.fixture
def uses() -> Counts:
    """What the gateway has under way; the test changes it."""
    return {}


@pytest.fixture
async def parrot(supervise: StartSupervisor, uses: Counts) -> Running:
    running = await supervise(PARROT, uses=lambda: uses)
    await running.until_state("ready")
    return running


async def give(running: Running, command: str, name: str = "parrot", **more: Any) -> Any:
    """Give an order; return the only home's outcome."""
    async with asyncio.timeout(60):
        told = await running.client.ask(command, {"name": name, **more}, who="user ada")
    return told[0] if len(told) == 1 else told


async def test_a_drained_home_stays_loaded_and_out_of_service(parrot: Running) -> None:
    """Whoever asks for it is told so, until it is given back; its engine is the same then."""
    pid = await parrot.engine()
    told = await give(parrot, "drain")
    assert told == {
        "home": "parrot",
        "state": "draining",
        "in_flight": 0,
        "done": True,
        "told": "",
    }
    view = parrot.view()
    assert (view.state, view.held, view.reason) == (
        "draining",
        True,
        "It is being kept out of service.",
    )
    assert view.detail == "by user ada, until `models start`"
    with pytest.raises(ModelUnavailable, match="kept out of service"):
        await parrot.client.ensure_ready("parrot")
    assert (await give(parrot, "start"))["state"] == "ready"
    assert (await parrot.until_state("ready")).held is False
    assert await parrot.engine() == pid


async def test_a_drain_waits_for_what_is_under_way(parrot: Running, uses: Counts) -> None:
    """And says how much that is."""
    uses[parrot.view().key] = (2, 5)
    lines: list[str] = []
    draining = asyncio.create_task(
        parrot.client.ask("drain", {"name": "parrot"}, tell=lines.append)
    )
    await parrot.until(lambda home: home.held)
    async with asyncio.timeout(20):
        while not lines:  # noqa: ASYNC110 - lines cannot be awaited
            await asyncio.sleep(0.01)
    assert lines == ["parrot: 2 requests under way"]
    assert not draining.done()
    uses[parrot.view().key] = (0, 5)
    assert (await draining)[0]["done"] is True


async def test_a_drain_may_take_so_long_and_no_longer(parrot: Running, uses: Counts) -> None:
    """Then it says what is left, and the home stays out of service."""
    uses[parrot.view().key] = (1, 5)
    told = await give(parrot, "drain", timeout=0.1)
    assert (told["done"], told["in_flight"]) == (False, 1)
    assert parrot.view().held


async def test_a_stopped_home_has_no_engine(parrot: Running) -> None:
    """And no request starts one; an operator does."""
    pid = await parrot.engine()
    told = await give(parrot, "stop")
    assert (told["state"], told["done"]) == ("stopped", True)
    assert await parrot.engine() == 0
    view = await parrot.until_state("stopped")
    assert view.held
    with pytest.raises(ModelUnavailable, match="kept out of service"):
        await parrot.client.ensure_ready("parrot")
    told = await give(parrot, "start")
    assert (told["state"], told["told"]) == ("ready", "")
    assert await parrot.engine() not in (0, pid)


async def test_a_home_that_sleeps_is_started_by_hand(supervise: StartSupervisor) -> None:
    """Before the first request wants it; and when it was held, it sleeps again until it is given back."""
    running = await supervise(SLEEPER)
    assert (await give(running, "start"))["state"] == "ready"
    assert (await give(running, "stop"))["state"] == "stopped"
    with pytest.raises(ModelUnavailable, match="kept out of service"):
        await running.client.ensure_ready("parrot")
    assert (await give(running, "start"))["state"] == "ready"


async def test_an_engine_that_dies_while_it_is_held_is_left_alone(
    parrot: Running, kill: Any
) -> None:
    """Somebody works there."""
    await give(parrot, "drain")
    kill(await parrot.engine())
    view = await parrot.until_state("failed")
    assert view.held
    async with asyncio.timeout(30):
        while await parrot.engine():  # noqa: ASYNC110 - its end cannot be awaited
            await asyncio.sleep(0.01)
    assert parrot.view().state == "failed"
    assert (await give(parrot, "start"))["state"] == "ready"


async def test_a_start_ends_a_cool_down_and_tells_why_it_failed(
    supervise: StartSupervisor,
) -> None:
    """An operator does not wait until the next try is due."""
    running = await supervise(BROKEN, cool_down=3600.0)
    await running.until_state("failed")
    told = await give(running, "start")
    assert (told["state"], told["done"]) == ("failed", False)
    assert "could not be loaded" in told["told"]
    assert running.view().starts == 2


async def test_a_single_home_is_restarted_while_requests_wait(parrot: Running) -> None:
    """They are held, not refused: the home is not out of service."""
    pid = await parrot.engine()
    restarting = asyncio.create_task(give(parrot, "restart"))
    await parrot.until(lambda home: home.state != "ready")
    view = await parrot.client.ensure_ready("parrot")
    assert view.state == "ready"
    assert (await restarting)["done"] is True
    assert await parrot.engine() not in (0, pid)


async def test_of_two_homes_one_is_always_there(supervise: StartSupervisor) -> None:
    """While the other is restarted."""
    running = await supervise(TWINS)
    for home in ("twins/0", "twins/1"):
        await running.until_state("ready", home)
    before = {await running.engine(home) for home in ("twins/0", "twins/1")}
    seen = len(running.tables)
    told = await give(running, "restart", "twins")
    assert [(each["home"], each["done"]) for each in told] == [("twins/0", True), ("twins/1", True)]
    for table in running.tables[seen:]:
        assert any(home.state == "ready" for home in table.homes)
    assert not before & {await running.engine(home) for home in ("twins/0", "twins/1")}


async def test_the_other_home_is_there_before_one_is_restarted(supervise: StartSupervisor) -> None:
    """Also where it slept until then."""
    running = await supervise(TWINS.replace("4096", "4096\n    start: on_demand"))
    await running.client.ensure_ready("twins/0")
    seen = len(running.tables)
    assert (await give(running, "restart", "twins/0"))["done"] is True
    for table in running.tables[seen:]:
        assert any(home.state == "ready" for home in table.homes)


async def test_one_home_of_several_is_named_by_its_number(supervise: StartSupervisor) -> None:
    """The other serves on."""
    running = await supervise(TWINS)
    for home in ("twins/0", "twins/1"):
        await running.until_state("ready", home)
    assert (await give(running, "drain", "twins/1"))["home"] == "twins/1"
    assert running.view("twins/0").state == "ready"
    told = await give(running, "restart", "twins/1")
    assert (told["done"], told["told"]) == (
        False,
        "It is out of service; `models start` starts it.",
    )


async def test_a_name_that_is_none_is_told_what_is_close(parrot: Running) -> None:
    """Nothing is touched."""
    for command in ("drain", "stop", "start", "restart"):
        with pytest.raises(ModelNotFound, match="no model or home 'parot'; did you mean 'parrot'"):
            await give(parrot, command, "parot")
    assert parrot.view().state == "ready"


async def test_what_is_held_stays_so_when_the_supervisor_is_killed(
    supervise: StartSupervisor, runtime_dir: Path
) -> None:
    """The next one does not start what somebody works on."""
    Holds(runtime_dir / "held.json").add("parrot", "user ada")
    running = await supervise(PARROT)
    view = await running.until(lambda home: home.held)
    assert (view.state, await running.engine()) == ("stopped", 0)
    assert (running.folder / SOCKET_NAME).exists()
    assert (await give(running, "start"))["state"] == "ready"
    assert Holds(runtime_dir / "held.json").by("parrot") == ""


def test_holds_survive_a_damaged_file(tmp_path: Path) -> None:
    """It is a convenience, no database."""
    path = tmp_path / "held.json"
    path.write_text("{")
    holds = Holds(path)
    assert holds.by("parrot") == ""
    holds.add("parrot", "ada")
    assert Holds(path).by("parrot") == "ada"
    Holds(tmp_path / "none" / "held.json").add("parrot", "ada")


async def test_wrong_arguments_are_refused(parrot: Running) -> None:
    """Before anything happens."""
    with pytest.raises(InvalidRequest, match="length >= 1"):
        await give(parrot, "start", "")
