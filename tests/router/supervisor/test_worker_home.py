"""Homes with real engine processes: start, crash, restart, back-off, drain."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.errors import EngineDead, ModelUnavailable
from hoonify_router.types import Finish


def yaml(options: str = "", more: str = "", start: str = "always") -> str:
    return f"""
models:
  parrot:
    provider: Nobody
    context_length: 4096
    backend: echo
    options: {{{options}}}
    start: {start}
{more}
"""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_home_becomes_ready_and_serves(supervise: Any) -> None:
    """With progress on the way, its capabilities, and a warm-up request before anyone else's."""
    running = await supervise(yaml("load_delay: 0.3, context_length: 99"))
    home = await running.until_state("ready")
    assert running.states()[-3:] == ["starting", "loading", "ready"]
    stages = {h.progress[0] for table in running.tables for h in table.homes if h.progress}
    assert "pretending to load" in stages
    assert home.capabilities.context_length == 99
    assert (home.kind, home.backend, home.always, home.reason) == ("worker", "echo", True, "")
    sink = await running.ask("hello there")
    await sink.ended.wait()
    assert sink.text == "hello there"


async def test_a_killed_engine_comes_back_at_once(supervise: Any, kill: Any) -> None:
    """SIGKILL in mid-stream: the request fails truthfully, a new engine answers the next one."""
    running = await supervise(yaml())
    sink = await running.ask("a b c [[hang after 2]]")
    await sink.first.wait()
    first = running.view().address
    killed = asyncio.get_running_loop().time()
    kill(await running.engine())
    await sink.ended.wait()
    assert isinstance(sink.error, EngineDead)
    back = await running.until(lambda home: home.state == "ready" and home.address != first)
    assert asyncio.get_running_loop().time() - killed < 3
    assert back.reason == ""
    assert running.states()[-3:] == ["starting", "loading", "ready"]
    assert "failed" not in running.states()
    again = await running.ask("as if nothing had happened")
    await again.ended.wait()
    assert again.text == "as if nothing had happened"


async def test_a_second_crash_soon_after_cools_down(supervise: Any, kill: Any) -> None:
    """The home says why it is away and when to come back, then returns."""
    running = await supervise(yaml(), cool_down=0.3)
    for _ in range(2):
        await running.until_state("ready")
        kill(await running.engine())
        await running.until(lambda home: home.state != "ready")
    home = await running.until_state("failed")
    assert home.reason == "Its engine ended unexpectedly."
    assert "killed by SIGKILL" in (await running.until(lambda home: home.detail)).detail
    assert 0 < home.retry_after <= 0.3
    with pytest.raises(ModelUnavailable, match="ended unexpectedly") as caught:
        await running.client.ensure_ready("parrot")
    assert caught.value.retry_after <= 0.3
    await running.until_state("ready")


async def test_a_failed_load_says_why_and_is_tried_again(supervise: Any, tmp_path: Path) -> None:
    """Reason for clients, detail for the operator, and a recovery once the cause is gone."""
    blocker = tmp_path / "blocker"
    blocker.touch()
    running = await supervise(yaml(f"load_blocker: {blocker}"), cool_down=0.3)
    home = await running.until_state("failed")
    assert home.reason == "Its engine could not be loaded."
    assert str(blocker) not in home.reason
    assert f"{blocker} is in the way" in home.detail
    blocker.unlink()
    assert (await running.until_state("ready")).detail == ""


@pytest.mark.parametrize(
    ("options", "reason", "detail"),
    [
        ("load_error: OutOfMemory", "ran out of memory", "told to fail with OutOfMemory"),
        ("load_crash: true", "could not be loaded", "killed by SIGKILL"),
        ("crash_after: 0", "failed its first answer", "EngineDead"),
        ("reply: text, text: '', context_length: 1", "failed its first answer", "ContextLength"),
    ],
)
async def test_reasons_of_a_failed_start(
    supervise: Any, options: str, reason: str, detail: str
) -> None:
    """Each has its own sentence."""
    running = await supervise(yaml(options))
    home = await running.until_state("failed")
    assert reason in home.reason
    assert detail in home.detail
    assert 9 < home.retry_after <= 10


async def test_an_engine_that_is_stuck_in_loading_is_stopped(supervise: Any) -> None:
    """No progress for the stall time; the process is gone."""
    running = await supervise(yaml("load_delay: 1000, load_silent: true"), load_stall=5)
    await running.until_state("loading")
    pid = await running.engine()
    home = await running.until_state("failed")
    assert home.reason == "Its engine got stuck while loading."
    assert "load_stall (5 s)" in home.detail
    assert gone(pid)


async def test_a_blocked_engine_is_replaced(supervise: Any) -> None:
    """Without heartbeats it counts as dead, whatever its process says."""
    running = await supervise(yaml(), heartbeat_timeout=1.2)
    sink = await running.ask("a [[block 1000]]")
    await sink.ended.wait()
    assert isinstance(sink.error, EngineDead)
    await running.until_state("ready")
    assert "starting" in running.states()[2:]


async def test_a_stuck_engine_is_replaced(supervise: Any) -> None:
    """It beats, but makes no step while work is pending."""
    running = await supervise(yaml(), step_timeout=0.3)
    sink = await running.ask("a b [[hang after 1]]")
    await sink.ended.wait()
    assert isinstance(sink.error, EngineDead)
    await running.until_state("ready")
    assert "starting" in running.states()[2:]


async def test_on_demand_homes_start_at_the_first_request(supervise: Any) -> None:
    """Two callers wait for one start."""
    running = await supervise(yaml(start="on_demand"))
    assert running.view().state == "stopped"
    assert await running.engine() == 0
    one, two = await asyncio.gather(
        running.client.ensure_ready("parrot"), running.client.ensure_ready("parrot")
    )
    assert one.state == two.state == "ready"
    assert one.address == two.address
    status = await running.client.status()
    assert status.homes[0].starts == 1


async def test_a_failed_on_demand_home_sleeps_until_it_is_asked_again(
    supervise: Any, tmp_path: Path
) -> None:
    """It does not start by itself, nor before its cool-down is over."""
    blocker = tmp_path / "blocker"
    blocker.touch()
    running = await supervise(yaml(f"load_blocker: {blocker}", start="on_demand"), cool_down=0.4)
    for _ in range(2):
        with pytest.raises(ModelUnavailable) as caught:
            await running.client.ensure_ready("parrot")
        told = "The model 'parrot' is not available: Its engine could not be loaded."
        assert caught.value.message == told
    blocker.unlink()
    await running.until_state("stopped")
    assert (await running.client.status()).homes[0].starts == 1
    assert (await running.client.ensure_ready("parrot")).state == "ready"


async def test_stopping_lets_running_requests_finish(supervise: Any) -> None:
    """The answer is whole, then the process is gone."""
    running = await supervise(yaml())
    sink = await running.ask("a b c d e [[delay 0.05]]")
    await sink.first.wait()
    pid = await running.engine()
    running.client.close()
    running.supervisor.stop()
    await sink.ended.wait()
    assert sink.error is None
    assert Finish("stop") in sink.events
    await running.life
    assert gone(pid)


async def test_stopping_has_a_limit(supervise: Any) -> None:
    """What is not done by then fails truthfully."""
    running = await supervise(yaml(), drain_timeout=0.3)
    sink = await running.ask("a [[hang after 1]]")
    await sink.first.wait()
    running.client.close()
    running.supervisor.stop()
    await sink.ended.wait()
    assert isinstance(sink.error, EngineDead)
    async with asyncio.timeout(60):
        await running.life


async def test_gateways_may_finish_before_engines_stop(supervise: Any) -> None:
    """As long as a gateway is there and the engine works, nothing is told to drain."""
    running = await supervise(yaml())
    sink = await running.ask("a b c [[delay 0.3]]")
    await sink.first.wait()
    running.supervisor.stop()
    with contextlib.suppress(TimeoutError):
        await running.until(lambda home: home.state == "draining", patience=0.3)
    assert running.view().state == "ready"
    await sink.ended.wait()
    assert sink.error is None
    running.client.close()
    async with asyncio.timeout(60):
        await running.life


async def test_stopping_while_it_loads_is_quick(supervise: Any) -> None:
    """Nothing is there to be saved."""
    running = await supervise(yaml("load_delay: 1000"))
    await running.until_state("loading")
    pid = await running.engine()
    running.client.close()
    running.supervisor.stop()
    async with asyncio.timeout(60):
        await running.life
    assert gone(pid)


async def test_a_second_signal_hurries(
    supervise: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """But the same key press, passed on twice, does not."""
    running = await supervise(yaml())
    sink = await running.ask("a [[hang after 1]]")
    await sink.first.wait()
    running.supervisor.stop()
    running.supervisor.stop()
    assert "at once" not in caplog.text
    monkeypatch.setattr("hoonify_router.supervisor.supervisor._ONE_PRESS", 0.0)
    running.supervisor.stop()
    assert "at once" in caplog.text
    async with asyncio.timeout(60):
        await running.life


async def test_a_missing_interpreter_is_unavailable(supervise: Any) -> None:
    """It can never run here, which is no failure to be retried."""
    running = await supervise(yaml(more="    python: /nowhere/bin/python"))
    home = running.view()
    assert home.state == "unavailable"
    assert "/nowhere" not in home.reason
    assert "/nowhere/bin/python" in home.detail
    with pytest.raises(ModelUnavailable, match="environment of its engine"):
        await running.client.ensure_ready("parrot")


async def test_an_interpreter_that_does_not_work_is_unavailable(
    supervise: Any, tmp_path: Path
) -> None:
    """Its last words are for the operator; other homes serve on."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'error while loading shared libraries' >&2\nexit 127\n")
    python.chmod(0o755)
    running = await supervise(yaml(more="    python: ./python"))
    home = await running.until_state("unavailable")
    assert home.reason == "The environment of its engine does not work."
    assert "error while loading shared libraries" in home.detail
