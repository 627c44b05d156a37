"""Homes on a GPU that is too small for all of them: who waits, who goes, who comes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.errors import ModelUnavailable

from .conftest import Running, SimulatedMemory

GIB = 2**30

MODEL = """
  {name}:
    provider: Nobody
    context_length: 4096
    backend: echo
    gpu_memory: {size}GiB
    start: {start}
    options: {{{options}}}
"""


def yaml(*models: str, turn: str = "0", budget: str = "10GiB") -> str:
    server = f"server: {{gpu_budget: {budget}, gpu_turn: {turn}}}\n" if budget else ""
    return server + "models:" + "".join(models)


def model(name: str, size: float = 6, start: str = "on_demand", options: str = "") -> str:
    return MODEL.format(name=name, size=size, start=start, options=options)


async def up(running: Running, name: str) -> None:
    await running.client.ensure_ready(name)


async def test_who_does_not_fit_sends_another_away(supervise: Any) -> None:
    """And the other way round; never are both there."""
    running = await supervise(yaml(model("a"), model("b")))
    for name, other in ("ab", "ba", "ab"):
        await up(running, name)
        assert running.view(other).state == "stopped"
    for table in running.tables:
        states = [home.state for home in table.homes]
        assert sum(state not in ("stopped", "failed") for state in states) <= 1


async def test_homes_that_fit_stay(supervise: Any) -> None:
    """Three of them in ten GiB; the fourth one sends away the one that was not used for longest."""
    names = "abcd"
    running = await supervise(yaml(*(model(name, 3) for name in names)))
    for name in names[:3]:
        await up(running, name)
        running.supervisor._homes[name].expected_load = 1.0
    assert {running.view(name).state for name in names[:3]} == {"ready"}
    await up(running, "d")
    assert [running.view(name).state for name in names] == ["stopped", *["ready"] * 3]


async def test_running_requests_finish_before_room_is_made(supervise: Any) -> None:
    """The home that wants in waits, and says for what."""
    running = await supervise(yaml(model("a"), model("b")))
    await up(running, "a")
    sink = await running.ask("x y z [[delay 0.3]]", "a")
    await sink.first.wait()
    coming = asyncio.create_task(running.client.ensure_ready("b"))
    waits = await running.until(lambda home: home.reason, "b")
    assert (waits.state, waits.reason) == (
        "stopped",
        "It waits for GPU memory that other models use.",
    )
    assert (await coming).reason == ""
    assert (sink.error, sink.text) == (None, "x y z")


async def test_a_turn_is_served_before_another_begins(supervise: Any) -> None:
    """Even where nobody asks the home that is there."""
    running = await supervise(yaml(model("a"), model("b"), turn="1s"))
    await up(running, "a")
    began = running.supervisor._homes["a"].life.since
    await up(running, "b")
    home = running.supervisor._homes["b"]
    assert home.life.began - began >= 1


async def test_what_always_runs_is_never_sent_away(supervise: Any) -> None:
    """A request for a model that can have no room is told so at once."""
    running = await supervise(yaml(model("a", start="always"), model("b")))
    await running.until_state("ready", "a")
    with pytest.raises(ModelUnavailable, match="hold for good"):
        await up(running, "b")
    home = running.view("b")
    assert "6 GiB on GPU 0; a always runs there" in home.detail
    assert running.view("a").state == "ready"


async def test_a_home_that_is_larger_than_all_there_is_cannot_run_here(supervise: Any) -> None:
    """Whoever looks at `models` knows before anybody asks; the driver says what there is."""
    memory = SimulatedMemory({0: 8 * GIB})
    running = await supervise(yaml(model("a", 9), model("b", 8), budget=""), memory=memory)
    assert running.view("a").state == "unavailable"
    assert "9 GiB on GPU 0, whose budget is 8 GiB" in running.view("a").detail
    await up(running, "b")


async def test_memory_must_be_back_before_the_next_load(supervise: Any) -> None:
    """A driver gives it back some time after the process is gone."""
    free = [{0: size * GIB} for size in (1, 2, 4, 9)]
    memory = SimulatedMemory({0: 10 * GIB}, *free)
    running = await supervise(yaml(model("a"), model("b"), budget=""), memory=memory)
    await up(running, "a")
    assert memory.asked == 0
    await up(running, "b")
    assert memory.asked == 4


async def test_memory_that_never_comes_back_is_not_waited_for_for_ever(
    supervise: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else may use the GPU; the load may do all the same."""
    monkeypatch.setattr("hoonify_router.supervisor.room._MEMORY_BACK", 0.6)
    memory = SimulatedMemory({0: 10 * GIB}, {0: GIB})
    running = await supervise(yaml(model("a"), model("b"), budget=""), memory=memory)
    await up(running, "a")
    await up(running, "b")
    assert "b: only 1 GiB on GPU 0 are free" in caplog.text


async def test_a_load_out_of_memory_is_tried_once_more_alone(supervise: Any, tmp_path: Any) -> None:
    """Others leave first, though by the sums all would fit."""
    blocker = tmp_path / "engine-of-a"
    blocker.touch()
    b = model("b", 2, options=f"load_blocker: {blocker}, load_blocker_error: OutOfMemory")
    running = await supervise(yaml(model("a", 2), b, turn="100s"))
    await up(running, "a")
    coming = asyncio.create_task(running.client.ensure_ready("b"))
    await running.until_state("stopped", "a")
    blocker.unlink()
    assert (await coming).starts == 2


async def test_out_of_memory_alone_is_a_failed_load(supervise: Any) -> None:
    """There is nobody to send away, or it has been tried."""
    running = await supervise(yaml(model("a", 2), model("b", 2, options="load_error: OutOfMemory")))
    with pytest.raises(ModelUnavailable, match="out of memory"):
        await up(running, "b")
    assert running.view("b").starts == 1
    await up(running, "a")
    await running.until(lambda home: home.state != "failed", "b", 30)
    with pytest.raises(ModelUnavailable, match="out of memory"):
        await up(running, "b")
    assert running.view("b").starts == 3
    assert running.view("a").state == "stopped"


async def test_a_crash_keeps_its_place(supervise: Any, kill: Any) -> None:
    """It is started again at once, and nobody slips in."""
    running = await supervise(yaml(model("a"), model("b"), turn="100s"))
    await up(running, "a")
    coming = asyncio.create_task(running.client.ensure_ready("b"))
    await running.until(lambda home: home.reason, "b")
    kill(await running.engine("a"))
    await running.until(lambda home: home.starts == 2 and home.state == "ready", "a")
    assert running.view("b").state == "stopped"
    coming.cancel()


async def test_a_stop_while_one_waits_is_quick(supervise: Any) -> None:
    """Nobody waits for a turn that never comes."""
    running = await supervise(yaml(model("a"), model("b"), turn="1000s"))
    await up(running, "a")
    coming = asyncio.create_task(running.client.ensure_ready("b"))
    await running.until(lambda home: home.reason, "b")
    await running.stop()
    with pytest.raises(ModelUnavailable):
        await coming


async def test_gpus_are_shown_to_engines_as_the_file_says(supervise: Any) -> None:
    """An engine sees those of its home and no others."""
    more = model("a").replace("backend: echo", "backend: echo\n    gpu: [3, 1]")
    running = await supervise(yaml(more, budget="[1GiB, 9GiB, 1GiB, 9GiB]"))
    await up(running, "a")
    environ = Path(f"/proc/{await running.engine('a')}/environ").read_bytes()  # noqa: ASYNC240
    assert b"CUDA_VISIBLE_DEVICES=3,1" in environ.split(b"\0")
