"""From one generation to the next: what is new first, what is old last, and nothing at all when it fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.supervisor.generations import History
from hoonify_router.supervisor.outcomes import Outcome, Trigger

pytestmark = pytest.mark.timeout(120)

BASE = """
models:
  parrot: {provider: Nobody, context_length: 10, backend: echo, options: {text: one}}
"""
COMMAND = Trigger("command", "ada")


class Edited:
    """A running supervisor whose file is edited."""

    def __init__(self, running: Any, path: Path) -> None:
        self.running = running
        self.path = path

    @property
    def reloader(self) -> Any:
        return self.running.supervisor._reloader

    async def edit(self, text: str, trigger: Trigger = COMMAND) -> Outcome:
        """Write the file and reload."""
        self.path.write_text(text)
        async with asyncio.timeout(60):
            outcome: Outcome = await self.reloader.reload(trigger)
        return outcome

    @property
    def history(self) -> list[Any]:
        return History(self.reloader.loaded.state_dir, self.path).all()


@pytest.fixture
def edited(supervise: Any, tmp_path: Path) -> Any:
    """``await edited()``: one with a ready home, that does not look at its file by itself."""

    async def start(text: str = BASE) -> Edited:
        running = await supervise(text + "server: {watch: false}\n")
        await running.until_state("ready")
        return Edited(running, tmp_path / "router.yaml")

    return start


def unwatched(text: str) -> str:
    return text + "server: {watch: false}\n"


async def test_a_new_home_is_there_before_the_old_one_goes(edited: Any) -> None:
    """No table is without a ready home."""
    one = await edited()
    before = one.running.view()
    outcome = await one.edit(unwatched(BASE.replace("one", "two")))
    assert (outcome.result, outcome.generation) == ("applied", 2)
    assert outcome.changes == ("parrot: echo, with other settings",)
    after = await one.running.until(lambda home: home.uid != before.uid)
    assert after.state == "ready"
    assert one.running.client.table.generation == 2
    since = [table.homes[0].state for table in one.running.tables]
    assert "starting" not in since[since.index("ready") :]


async def test_streams_finish_on_the_old_home(edited: Any) -> None:
    """It drains until the last of them has ended, then its process goes."""
    slow = BASE.replace("text: one", "token_delay: 0.2")
    one = await edited(slow)
    sink = await one.running.ask("a b c d e f g h i j k l m n o p")
    await sink.first.wait()
    old = one.running.supervisor._homes["parrot"]
    await one.edit(unwatched(BASE))
    assert old in one.running.supervisor._fleet.leaving
    await sink.ended.wait()
    assert sink.error is None
    async with asyncio.timeout(60):
        while one.running.supervisor._fleet.leaving:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert old.pid == 0


async def test_what_concerns_no_engine_applies_at_once(edited: Any) -> None:
    """The home stays the very same."""
    one = await edited()
    before = one.running.view()
    text = unwatched(BASE.replace("context_length: 10", "context_length: 20"))
    outcome = await one.edit(text)
    assert outcome.result == "applied"
    assert outcome.changes == ("parrot: context_length",)
    assert one.running.view().uid == before.uid
    assert one.reloader.loaded.config.models["parrot"].context_length == 20


@pytest.mark.parametrize(
    ("text", "result", "told"),
    [
        ("models: [", "refused", "router.yaml:"),
        (BASE.replace("backend: echo", "backend: ecco"), "refused", "did you mean echo?"),
        (BASE + "server: {port: 1}\n", "refused", "server.port: needs a restart"),
        (BASE.replace("text: one", "load_error: no weights"), "failed", "no weights"),
        (BASE.replace("text: one", "load_crash: true"), "failed", "parrot on echo"),
        (BASE.replace("text: one", "crash_after: 0"), "failed", "parrot on echo"),
    ],
    ids=["syntax", "unknown-backend", "needs-a-restart", "load", "crash", "warm-up"],
)
async def test_a_broken_edit_changes_nothing(
    edited: Any, text: str, result: str, told: str
) -> None:
    """The old generation serves on, and the reason is told."""
    one = await edited()
    before = one.running.view()
    outcome = await one.edit(text)
    assert (outcome.result, outcome.generation) == (result, 1)
    assert any(told in problem for problem in outcome.problems), outcome.problems
    assert one.reloader.last == outcome
    assert one.reloader.counts[result] == 1
    view = one.running.view()
    assert (view.uid, view.state) == (before.uid, "ready")
    assert one.running.client.table.generation == 1
    assert [kept.number for kept in one.history] == [1]
    sink = await one.running.ask("still there")
    await sink.ended.wait()
    assert sink.error is None
    assert (await one.edit(unwatched(BASE))).result == "unchanged"


async def test_a_model_is_not_moved_to_where_it_cannot_run(edited: Any) -> None:
    """While it has a home that can; a new model may well be one that cannot run here."""
    one = await edited()
    missing = BASE.replace("backend: echo", "backend: echo, python: /no/such/python")
    outcome = await one.edit(unwatched(missing))
    assert outcome.result == "refused"
    assert "models.parrot: cannot run here" in outcome.problems[0]
    more = (
        BASE + "  ghost: {provider: Nobody, context_length: 1, backend: echo, python: /no/such}\n"
    )
    assert (await one.edit(unwatched(more))).result == "applied"
    assert one.running.view("ghost").state == "unavailable"


async def test_a_newer_edit_overtakes_one_that_is_loading(edited: Any) -> None:
    """Whoever waits for the first hears what became of the last; nothing of the first stays."""
    one = await edited()
    slow = unwatched(BASE.replace("text: one", "text: two, load_delay: 60"))
    first = asyncio.create_task(one.edit(slow))
    async with asyncio.timeout(30):
        while not one.running.supervisor._fleet.coming:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    (abandoned,) = one.running.supervisor._fleet.coming
    last = await one.edit(unwatched(BASE.replace("one", "three")))
    assert (last.result, last.generation) == ("applied", 2)
    assert await first == last
    assert one.reloader.counts == {
        **dict.fromkeys(one.reloader.counts, 0),
        "applied": 1,
        "superseded": 1,
    }
    await one.running.supervisor._fleet.gone(abandoned)
    assert abandoned.pid == 0


async def test_an_edit_that_is_taken_back_leaves_all_as_it_was(edited: Any) -> None:
    """The new home that was loading is stopped."""
    one = await edited()
    slow = unwatched(BASE.replace("text: one", "text: two, load_delay: 60"))
    first = asyncio.create_task(one.edit(slow))
    async with asyncio.timeout(30):
        while not one.running.supervisor._fleet.coming:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (await one.edit(unwatched(BASE))).result == "unchanged"
    assert (await first).generation == 1
    assert not one.running.supervisor._fleet.coming


async def test_the_history_tells_who_changed_what(edited: Any) -> None:
    """And keeps the text that did it."""
    one = await edited()
    text = unwatched(BASE.replace("Nobody", "Somebody"))
    await one.edit(text)
    first, second = one.history
    assert (first.number, first.trigger, first.text) == (1, "start", unwatched(BASE))
    assert (second.number, second.trigger, second.text) == (2, "command (ada)", text)
    assert second.changes == ("parrot: provider",)


async def test_a_sleeping_home_is_changed_without_waking_it(edited: Any) -> None:
    """Nobody has asked for it."""
    sleepy = (
        BASE + "  sleepy: {provider: Nobody, context_length: 9, backend: echo, start: on_demand}\n"
    )
    one = await edited(sleepy)
    text = sleepy.replace("backend: echo, start", "backend: echo, options: {text: new}, start")
    assert (await one.edit(unwatched(text))).result == "applied"
    assert one.running.view("sleepy").state == "stopped"
    view = await one.running.client.ensure_ready("sleepy")
    assert view.state == "ready"


async def test_a_model_comes_and_another_goes(edited: Any) -> None:
    """The table has just those of the file, in its order."""
    one = await edited()
    text = unwatched(BASE.replace("parrot", "polly"))
    outcome = await one.edit(text)
    assert outcome.changes == ("parrot: removed", "polly: new, on echo")
    assert [home.id for home in one.running.client.table.homes] == ["polly"]


async def test_the_file_is_watched(supervise: Any, tmp_path: Path) -> None:
    """Nobody has to say anything."""
    running = await supervise(BASE)
    before = await running.until_state("ready")
    (tmp_path / "router.yaml").write_text(BASE.replace("one", "two"))
    await running.until(lambda home: home.uid != before.uid, patience=60)
    assert running.client.table.generation == 2


async def test_a_supervisor_that_was_killed_goes_on_with_the_generation_in_force(
    edited: Any, supervise: Any, tmp_path: Path
) -> None:
    """Whatever the file says by then, and whatever the router began with."""
    one = await edited()
    text = unwatched(BASE.replace("Nobody", "Somebody"))
    await one.edit(text)
    one.running.supervisor.kill()
    await one.running.stop()
    again = await supervise(unwatched(BASE))  # what the main process still has in mind
    await again.until_state("ready")
    assert again.client.table.generation == 2
    reloader = again.supervisor._reloader
    assert reloader.loaded.config.models["parrot"].provider == "Somebody"
    await again.stop()


async def test_a_reload_waits_for_every_gateway(edited: Any) -> None:
    """Until then the old home takes what they still send."""
    one = await edited()
    control = one.running.supervisor._control
    member = next(iter(control._members))
    assert not member.is_behind
    assert await control.adopted(1.0)
    member._adopted = 0
    assert not await control.adopted(0.05)
