"""Where the old and the new home do not fit onto a GPU together: drain, swap, and nobody is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(120)

BASE = """server: {watch: false, gpu_budget: [8GiB]}
models:
  parrot: {provider: Nobody, context_length: 10, backend: echo, gpu_memory: 6GiB, options: {text: one}}
"""
OTHER = BASE.replace("text: one", "text: two")


@pytest.fixture
async def router(supervise: Any) -> Any:
    """One whose only home takes most of the GPU."""
    running = await supervise(BASE)
    await running.until_state("ready")
    return running


async def test_the_old_home_goes_first_and_requests_wait_for_the_new_one(router: Any) -> None:
    """Whoever asks in between gets the new home as soon as it is ready."""
    before = router.view()
    moving = asyncio.create_task(router.client.ask("apply", {"text": OTHER}))
    view = await router.until(lambda home: home.moving, patience=60)
    assert view.uid == before.uid
    waiting = asyncio.create_task(router.client.ensure_ready("parrot"))
    told = await moving
    assert (told["result"], told["generation"]) == ("applied", 2)
    after = await waiting
    assert after.state == "ready"
    assert after.uid != before.uid
    assert not after.moving
    assert not router.supervisor._fleet.leaving or router.supervisor._room.held()[0] == 6 * 2**30


async def test_a_stream_on_the_old_home_ends_before_the_new_one_is_loaded(
    supervise: Any,
) -> None:
    """Both never are in memory at the same time."""
    slow = BASE.replace("text: one", "token_delay: 0.2")
    router = await supervise(slow)
    await router.until_state("ready")
    sink = await router.ask("a b c d e f g h")
    await sink.first.wait()
    moving = asyncio.create_task(router.client.ask("apply", {"text": BASE}))
    await router.until(lambda home: home.moving, patience=60)
    most = 0
    while not moving.done():
        most = max(most, router.supervisor._room.held().get(0, 0))
        await asyncio.sleep(0.01)
    assert most == 6 * 2**30
    assert (await moving)["result"] == "applied"
    assert sink.ended.is_set()
    assert sink.error is None


async def test_the_old_home_comes_back_when_the_new_one_fails(router: Any) -> None:
    """The generation stays; whoever has waited is served by the old home's engine, started again."""
    broken = BASE.replace("text: one", "load_error: no weights")
    moving = asyncio.create_task(router.client.ask("apply", {"text": broken}))
    await router.until(lambda home: home.moving, patience=60)
    waiting = asyncio.create_task(router.client.ensure_ready("parrot"))
    told = await moving
    assert (told["result"], told["generation"]) == ("failed", 1)
    view = await waiting
    assert (view.state, view.moving) == ("ready", False)
    assert view.starts == 2
    sink = await router.ask("still there")
    await sink.ended.wait()
    assert sink.error is None


async def test_what_fits_nowhere_is_refused_before_anything_is_touched(router: Any) -> None:
    """More than the budget, or than what is left of it beside homes that always run."""
    before = router.view()
    told = await router.client.ask("apply", {"text": OTHER.replace("6GiB", "9GiB")})
    assert told["result"] == "refused"
    assert (router.view().uid, router.view().state) == (before.uid, "ready")


async def test_two_models_that_change_places_are_swapped_together(supervise: Any) -> None:
    """Neither new home fits while the old ones are there."""
    two = """server: {watch: false, gpu_budget: [8GiB]}
models:
  one: {provider: Nobody, context_length: 10, backend: echo, gpu_memory: 6GiB, options: {text: one}}
  two: {provider: Nobody, context_length: 10, backend: echo, gpu_memory: 2GiB, options: {text: two}}
"""
    router = await supervise(two)
    await router.until_state("ready", "one")
    await router.until_state("ready", "two")
    other = two.replace("6GiB", "@").replace("2GiB", "6GiB").replace("@", "2GiB")
    other = other.replace("text: one", "text: three").replace("text: two", "text: four")
    plan = await router.client.ask("plan", {"text": other})
    assert all(move["swap"] for move in plan["moves"])
    told = await router.client.ask("apply", {"text": other})
    assert told["result"] == "applied", told
    assert {home.state for home in router.client.table.homes} == {"ready"}


async def test_a_home_that_takes_more_than_was_said_keeps_running(router: Any) -> None:
    """Its engine is the same; only what is counted for it is another number."""
    before = router.view()
    told = await router.client.ask("apply", {"text": BASE.replace("6GiB", "7GiB")})
    assert told["result"] == "applied"
    assert router.view().uid == before.uid
    assert router.supervisor._room.held() == {0: 7 * 2**30}
