"""Homes that start when somebody asks, rest when nobody does, and lose no request on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hoonify_router.errors import HomeStopping, ModelUnavailable
from hoonify_router.supervisor.load_times import LoadTimes

YAML = """
models:
  parrot:
    provider: Nobody
    context_length: 4096
    backend: echo
    options: {OPTIONS}
    start: on_demand
MORE
"""


def yaml(options: str = "", more: str = "") -> str:
    return YAML.replace("OPTIONS", options).replace("MORE", more)


async def test_a_home_without_requests_stops_and_comes_back(supervise: Any) -> None:
    """Its process is gone meanwhile; the next request starts another one."""
    running = await supervise(yaml(more="    idle_stop: 100ms"))
    first = await running.client.ensure_ready("parrot")
    await running.until_state("stopped")
    assert await running.engine() == 0
    second = await running.client.ensure_ready("parrot")
    assert second.address != first.address
    assert running.states()[1:6] == ["starting", "loading", "ready", "draining", "stopped"]


async def test_a_home_is_not_idle_while_a_gateway_has_a_request_there(supervise: Any) -> None:
    """By the gateway's own count: the engine of such a home may tell nothing."""
    counts: dict[str, tuple[int, int]] = {}
    running = await supervise(yaml(more="    idle_stop: 100ms"), uses=lambda: dict(counts))
    home = running.supervisor._homes["parrot"]
    counts[home.key] = (1, 1)
    await running.client.ensure_ready("parrot")
    uses = running.supervisor._control.uses
    async with asyncio.timeout(20):
        while not uses.in_flight(home.key):  # noqa: ASYNC110 - told every second
            await asyncio.sleep(0.05)
    looked = home.life.since
    await asyncio.sleep(1.2)  # more than one look, with nothing to wait for
    assert (home.life.state, home.life.since) == ("ready", looked)
    counts[home.key] = (0, 1)
    await running.until_state("stopped")


async def test_a_running_request_ends_before_its_home_rests(supervise: Any) -> None:
    """What comes meanwhile is turned away unseen, and a caller who waits gets the next start."""
    running = await supervise(yaml())
    await running.client.ensure_ready("parrot")
    sink = await running.ask("a b c [[delay 0.5]]")
    late = await running.connect()
    await sink.first.wait()
    running.supervisor._homes["parrot"].rest(30)
    await running.until_state("draining")
    refused = None
    while refused is None or refused.error is None:  # until gateways know, all are served
        refused = await running.submit(late, "too late")
        await refused.ended.wait()
    assert isinstance(refused.error, HomeStopping)
    back = await running.client.ensure_ready("parrot")
    assert sink.ended.is_set()
    assert (sink.error, sink.text) == (None, "a b c")
    assert back.starts == 2


async def test_a_rest_has_an_end(supervise: Any) -> None:
    """A request that takes longer than it may is told so."""
    running = await supervise(yaml())
    await running.client.ensure_ready("parrot")
    sink = await running.ask("a [[hang after 1]]")
    await sink.first.wait()
    running.supervisor._homes["parrot"].rest(0.2)
    await sink.ended.wait()
    assert sink.error is not None
    await running.until_state("stopped")


async def test_a_stop_of_the_router_does_not_wait_for_a_long_rest(supervise: Any) -> None:
    """The shorter patience counts."""
    running = await supervise(yaml(), drain_timeout=0.3)
    await running.client.ensure_ready("parrot")
    sink = await running.ask("a [[hang after 1]]")
    await sink.first.wait()
    running.supervisor._homes["parrot"].rest(10_000)
    await running.until_state("draining")
    running.client.close()
    running.supervisor.stop()
    await sink.ended.wait()
    async with asyncio.timeout(20):
        await running.life


async def test_a_rest_while_it_loads_ends_the_load(supervise: Any) -> None:
    """There is nothing to save; whoever waited is served by the next start."""
    running = await supervise(yaml("load_delay: 1000"))
    waiting = asyncio.create_task(running.client.ensure_ready("parrot"))
    await running.until_state("loading")
    running.supervisor._homes["parrot"].rest(30)
    await running.until_state("stopped")
    waiting.cancel()


async def test_a_load_is_learned_and_told_in_advance(supervise: Any, tmp_path: Any) -> None:
    """Retry-After of a request that cannot wait so long is what the last load took, less what has passed."""
    running = await supervise(yaml("load_delay: 0.3", "    idle_stop: 100ms"))
    assert running.view().retry_after is None
    await running.client.ensure_ready("parrot")
    home = running.supervisor._homes["parrot"]
    known = LoadTimes(tmp_path / "var").expected(home.plan)
    assert known is not None
    assert known >= 0.3
    home.expected_load = 100.0
    assert (await running.until_state("stopped")).retry_after == 100.0
    asked = asyncio.create_task(running.client.ensure_ready("parrot"))
    view = await running.until(lambda home: home.state in ("starting", "loading"))
    assert 90 < view.retry_after <= 100
    await asked


async def test_whoever_waits_when_the_supervisor_dies_is_told_at_once(supervise: Any) -> None:
    """With a second to the next try."""
    running = await supervise(yaml("load_delay: 1000"))
    waiting = asyncio.create_task(running.client.ensure_ready("parrot"))
    await running.until_state("loading")
    for member in tuple(running.supervisor._control._members):
        member.close()
    with pytest.raises(ModelUnavailable) as caught:
        await waiting
    assert caught.value.retry_after == 1
