"""Plans, their application, and the way back, as the command line and admins ask for them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hoonify_router.api import hookimpl
from hoonify_router.errors import InvalidValue, NotFound, RouterError
from hoonify_router.loader import load_plugins
from hoonify_router.supervisor import reload_commands

from .conftest import ECHO, GROUP

pytestmark = pytest.mark.timeout(120)

BASE = """server: {watch: false, gpu_budget: [8GiB]}
models:
  parrot: {provider: Nobody, context_length: 10, backend: echo, gpu_memory: 2GiB}
"""
OTHER = BASE.replace("gpu_memory", "options: {slots: 3}, gpu_memory")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "router.yaml"


@pytest.fixture
async def router(supervise: Any) -> Any:
    """One with a ready home."""
    running = await supervise(BASE)
    await running.until_state("ready")
    return running


async def test_a_plan_tells_what_would_change_and_does_nothing(router: Any, file: Any) -> None:
    """Homes, memory, time; the text may be one that stands nowhere yet."""
    uid = router.view().uid
    plan = await router.client.ask("plan", {"text": OTHER})
    assert (plan["result"], plan["generation"]) == ("changes", 1)
    assert plan["changes"] == ["parrot: echo, with other settings"]
    (move,) = plan["moves"]
    assert [step["home"] for step in move["stop"]] == ["parrot"]
    assert move["stop"][0]["state"] == "ready"
    assert move["start"][0]["memory"] == {"0": 2 * 2**30}
    assert not move["swap"]
    (gpu,) = plan["gpus"]
    assert [gpu[name] / 2**30 for name in ("before", "meanwhile", "after", "budget")] == [
        2,
        4,
        2,
        8,
    ]
    assert router.view().uid == uid
    assert file.read_text() == BASE


async def test_a_plan_knows_when_there_is_no_room_for_both(router: Any) -> None:
    """Then requests would wait, and that is said."""
    plan = await router.client.ask("plan", {"text": OTHER.replace("2GiB", "7GiB")})
    assert plan["moves"][0]["swap"]


async def test_a_plan_of_what_serves_is_nothing(router: Any) -> None:
    """As is one of a file that has not changed."""
    assert (await router.client.ask("plan"))["result"] == "nothing"


async def test_a_plan_of_a_broken_file_tells_why(router: Any, file: Any) -> None:
    """With the line."""
    file.write_text(BASE.replace("echo", "ecco"))
    plan = await router.client.ask("plan")
    assert plan["result"] == "refused"
    assert "did you mean echo?" in plan["problems"][0]


async def test_a_load_time_is_learned_from_earlier_loads(router: Any) -> None:
    """Of the very same engine."""
    await router.client.ask("apply", {"text": OTHER})
    plan = await router.client.ask("plan", {"text": BASE})
    assert plan["load_seconds"] > 0


async def test_a_text_is_applied_and_stands_in_the_file(router: Any, file: Any) -> None:
    """Exactly as it was planned with."""
    told = await router.client.ask("apply", {"text": OTHER}, who="user ada")
    assert (told["result"], told["generation"], told["trigger"]) == ("applied", 2, "apply (ada)")
    assert file.read_text() == OTHER


async def test_a_text_that_cannot_take_effect_never_reaches_the_file(
    router: Any, file: Any
) -> None:
    """Or the next start of the router would fail."""
    told = await router.client.ask("apply", {"text": "models: ["})
    assert told["result"] == "refused"
    assert file.read_text() == BASE


async def test_a_file_that_changed_since_its_plan_is_not_applied(router: Any, file: Any) -> None:
    """What is applied is what was looked at."""
    file.write_text(OTHER)
    digest = (await router.client.ask("plan"))["digest"]
    file.write_text(OTHER + "# one more thing\n")
    with pytest.raises(InvalidValue, match="has changed"):
        await router.client.ask("apply", {"digest": digest})
    assert router.client.table.generation == 1


async def test_a_rollback_is_the_next_generation(router: Any, file: Any) -> None:
    """With the text of the old one; what was in force stays in the history."""
    await router.client.ask("apply", {"text": OTHER})
    told = await router.client.ask("rollback", {"generation": 1})
    assert (told["result"], told["generation"]) == ("applied", 3)
    assert file.read_text() == BASE
    reloader = router.supervisor._reloader
    assert [kept.text for kept in reloader.history.all()] == [BASE, OTHER, BASE]


async def test_a_rollback_to_what_is_not_kept_names_what_is(router: Any) -> None:
    """An operator may choose another one."""
    with pytest.raises(NotFound, match="there are 1"):
        await router.client.ask("rollback", {"generation": 7})


async def test_a_file_that_cannot_be_written_is_told(
    router: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mounted one may be read-only; nothing has changed then."""

    def refuse(path: Path, text: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(reload_commands, "replace_text", refuse)
    with pytest.raises(RouterError, match="cannot be written: Read-only file system"):
        await router.client.ask("apply", {"text": OTHER})
    assert router.client.table.generation == 1


async def test_plugins_say_what_a_change_means(
    supervise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line each; one that fails says that."""
    good, bad = ModuleType("reviewing_plugin"), ModuleType("failing_plugin")

    def hoonify_review_change(context: Any, old: Any, new: Any) -> list[str]:
        gone = old.config.models.keys() - new.config.models.keys()
        return [f"nobody can ask {name}" for name in gone]

    good.hoonify_review_change = hookimpl(hoonify_review_change)  # type: ignore[attr-defined]

    def failing(context: Any, old: Any, new: Any) -> list[str]:
        raise ZeroDivisionError

    failing.__name__ = "hoonify_review_change"
    bad.hoonify_review_change = hookimpl(failing)  # type: ignore[attr-defined]
    from importlib.metadata import EntryPoint

    for module in (good, bad):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    names = ("reviewing_plugin", "failing_plugin")
    using = load_plugins(entry_points=[ECHO, *(EntryPoint(n, n, GROUP) for n in names)])
    running = await supervise(BASE, using=using)
    plan = await running.client.ask("plan", {"text": BASE.replace("parrot", "polly")})
    assert "nobody can ask parrot" in plan["consequences"]
    assert any("failing_plugin" in line for line in plan["consequences"])
