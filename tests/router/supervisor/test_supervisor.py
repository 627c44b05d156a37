"""The whole supervisor: many homes at once, plugins that hear of them, tables, the banner."""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.api import BackendEvent, hookimpl
from hoonify_router.errors import ModelUnavailable
from hoonify_router.loader import load_plugins
from hoonify_router.supervisor.client import SupervisorClient
from hoonify_router.supervisor.supervisor import SOCKET_NAME

from .conftest import ECHO, GROUP

TWO = """
models:
  parrot: {provider: Nobody, context_length: 10, backend: echo}
  broken:
    provider: Nobody
    context_length: 10
    start: always
    homes:
      - {backend: echo, options: {load_error: RouterError}, weight: 3}
      - {backend: echo, python: /nowhere/python}
  sleepy: {provider: Nobody, context_length: 10, backend: echo, start: on_demand}
"""


async def test_one_bad_home_is_no_trouble_for_the_others(supervise: Any) -> None:
    """Each has its own life, and the table shows them all in the order of the file."""
    running = await supervise(TWO)
    await running.until_state("ready")
    await running.until_state("failed", "broken/0")
    table = running.client.table
    assert table.generation == 1
    assert [(home.id, home.model, home.state) for home in table.homes] == [
        ("parrot", "parrot", "ready"),
        ("broken/0", "broken", "failed"),
        ("broken/1", "broken", "unavailable"),
        ("sleepy", "sleepy", "stopped"),
    ]
    assert running.view("broken/0").weight == 3


async def test_the_banner_waits_for_every_home_and_a_gateway(supervise: Any) -> None:
    """It comes once, and says what to paste."""
    running = await supervise(TWO)
    await running.until_state("ready")
    await running.until_state("failed", "broken/0")
    output = running.output.getvalue()
    assert output.count("Hoonify Router") == 1
    assert "sleepy    echo     stopped      starts at its first request" in output
    assert "broken/1  echo     unavailable  The environment of its engine is missing." in output
    assert '"model": "parrot"' in output
    assert output.index("broken/0: failed") < output.index("Hoonify Router")


async def test_the_banner_comes_once_per_serve(supervise: Any) -> None:
    """A supervisor that is started again in the same folder has nothing to say of its start."""
    first = await supervise(TWO)
    await first.until_state("ready")
    await first.until_state("failed", "broken/0")
    await first.stop()
    assert "Hoonify Router" in first.output.getvalue()
    second = await supervise(TWO)
    await second.until_state("ready")
    await second.until_state("failed", "broken/0")
    await second.stop()
    assert second.output.getvalue() == ""


async def test_the_cool_down_is_counted_down_in_the_tables(
    supervise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Retry-After must not be older than a second."""
    monkeypatch.setattr("hoonify_router.supervisor.supervisor._REFRESH_INTERVAL", 0.05)
    running = await supervise(TWO)
    first = (await running.until(lambda home: home.retry_after, "broken/0")).retry_after
    later = await running.until(lambda home: home.retry_after < first - 0.2, "broken/0")
    assert first - 3 < later.retry_after


async def test_plugins_hear_of_each_new_state(supervise: Any) -> None:
    """In order, without secrets, and a plugin that raises stops nobody."""
    heard: list[BackendEvent] = []
    plugin, rude = ModuleType("listening_plugin"), ModuleType("rude_plugin")

    def hoonify_backend_event(event: BackendEvent) -> None:
        heard.append(event)

    plugin.hoonify_backend_event = hookimpl(hoonify_backend_event)  # type: ignore[attr-defined]

    def raising(event: BackendEvent) -> None:
        raise ZeroDivisionError

    raising.__name__ = "hoonify_backend_event"
    rude.hoonify_backend_event = hookimpl(raising)  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        for module in (plugin, rude):
            patch.setitem(__import__("sys").modules, module.__name__, module)
        names = ("listening_plugin", "rude_plugin")
        using = load_plugins(entry_points=[ECHO, *(EntryPoint(n, n, GROUP) for n in names)])
    assert not using.failures
    running = await supervise(TWO, using=using)
    await running.until_state("ready")
    states = [event.home.state for event in heard if event.home.id == "parrot"]
    assert states == ["starting", "loading", "ready"]
    assert {event.generation for event in heard} == {1}


async def test_status_tells_an_operator_more_and_no_secret(supervise: Any) -> None:
    """Processes, starts, health; never a key."""
    running = await supervise(
        """
models:
  parrot: {provider: Nobody, context_length: 10, backend: echo}
  keyed: {provider: Nobody, context_length: 10, backend: echo, start: on_demand, api_key: s3cret}
"""
    )
    sink = await running.ask("a [[hang after 1]]")
    await sink.first.wait()
    async with asyncio.timeout(60):
        status = await running.client.status()
        while not status.homes[0].health.running:  # the next heartbeat tells
            await asyncio.sleep(0.05)
            status = await running.client.status()
    parrot, keyed = status.homes
    assert parrot.pid > 0
    assert parrot.starts == 1
    assert parrot.uptime > 0
    assert (keyed.pid, keyed.starts, keyed.home.api_key) == (0, 0, "")
    assert running.view("keyed").api_key == "s3cret"
    assert status.gateways == 1


async def test_two_gateways_see_the_same_and_share_an_engine(supervise: Any) -> None:
    """Tables go to everyone; one engine answers both."""
    running = await supervise(TWO)
    home = await running.until_state("ready")
    second = SupervisorClient(running.folder / SOCKET_NAME, lambda table: None)
    await second.connect()
    assert next(h for h in second.table.homes if h.id == "parrot").address == home.address
    assert (await second.ensure_ready("parrot")).address == home.address
    one, two = await running.ask("from the first"), await running.ask("from the second")
    await one.ended.wait()
    await two.ended.wait()
    assert (one.text, two.text) == ("from the first", "from the second")
    second.close()


async def test_an_unknown_home_is_unavailable(supervise: Any) -> None:
    """A gateway of an older generation may ask for one."""
    running = await supervise(TWO)
    with pytest.raises(ModelUnavailable, match="does not know"):
        await running.client.ensure_ready("nobody")


async def test_sockets_of_a_killed_supervisor_are_no_obstacle(
    supervise: Any, runtime_dir: Path
) -> None:
    """The next one, in the same folder, takes over."""
    (runtime_dir / SOCKET_NAME).touch()
    (runtime_dir / "1-0-1.sock").touch()
    running = await supervise(TWO)
    assert (await running.until_state("ready")).address.endswith("-0-1.sock")


async def test_no_engine_is_left_when_a_controller_breaks(
    supervise: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in a controller is a failed start of one home, loud in the log."""

    async def broken(*arguments: Any) -> None:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr("hoonify_router.supervisor.worker_home.warm_up", broken)
    caplog.set_level(logging.ERROR)
    running = await supervise(TWO)
    home = await running.until_state("failed")
    assert "a bug of ours" in home.detail
    assert "its controller failed" in caplog.text
    with pytest.raises(ModelUnavailable):
        await running.client.ensure_ready("parrot")
    assert not isinstance(home, WorkerConnection)
