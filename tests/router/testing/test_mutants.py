"""The kit finds planted bugs, and its words name them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.router.testing import mutants_that_answer, mutants_that_live
from tests.router.testing.mutant import Mutant
from tests.router.testing.scripted import ScriptedEngine, bench_of

from hoonify_router.testing.checks import all_checks
from hoonify_router.testing.runner import run_check

CHECKS = {check.name: check for check in all_checks()}
ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow


MUTANTS = [
    value
    for module in (mutants_that_answer, mutants_that_live)
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, Mutant) and value is not Mutant
]


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers of their own find the mutants."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
async def test_the_mutant_is_caught(mutant: type[Mutant]) -> None:
    """The check that is there for it fails, and says what is wrong."""
    async with bench_of(mutant, mutant.patience, process=mutant.process) as bench:
        for name in mutant.before:
            await run_check(CHECKS[name], bench, {})
        result = await run_check(CHECKS[mutant.caught_by], bench, {})
    assert result.status == "failed", result.told
    assert re.search(mutant.says, result.told), result.told


async def test_the_sound_engine_passes() -> None:
    """Without a fault no check fails, so that those above fail because of theirs."""
    async with bench_of(ScriptedEngine) as bench:
        results = [await run_check(check, bench, {}) for check in all_checks() if check.level]
    assert not [f"{one.name}: {one.told}" for one in results if one.status == "failed"]


def test_there_are_enough_mutants() -> None:
    """Each is of its own kind."""
    assert len(MUTANTS) >= 60
