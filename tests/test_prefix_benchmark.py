"""The simulator of prefix caches, and what it says of the ways to balance."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import prefix
from benchmarks.conversations import Outcome, Traffic, medians, users
from benchmarks.prefix_simulator import BLOCK, PrefixCache


@pytest.mark.parametrize("homes", [2, 4])
def test_prefix_has_at_least_twice_the_hits(homes: int) -> None:
    """With talk about documents that the caches of all homes together just hold; no home has much more to do than another."""
    ways = {how: prefix.simulate(prefix.DOCUMENTS, homes, how, "1") for how in prefix.BALANCERS}
    others = max(ways["round_robin"].hit_rate, ways["least_loaded"].hit_rate)
    assert ways["prefix"].hit_rate >= 2 * others
    assert ways["prefix"].imbalance < 1.2
    assert ways["prefix"].wait_p50 < ways["round_robin"].wait_p50


def test_prefix_pays_for_shared_system_prompts(tmp_path: Path) -> None:
    """They are read once by few homes, not by all, and homes are about equally busy."""
    ways = {
        how: prefix.simulate(prefix.ASSISTANTS, 4, how, "1", 100)
        for how in ("round_robin", "prefix")
    }
    assert ways["prefix"].hit_rate >= 2 * ways["round_robin"].hit_rate
    assert ways["prefix"].imbalance < 1.25


def test_a_run_is_the_same_each_time() -> None:
    """Nothing depends on the machine."""
    one, other = (prefix.simulate(prefix.DOCUMENTS, 2, "prefix", "7", 30) for _ in range(2))
    assert one.readings() == other.readings()


def test_a_cache_forgets_what_was_not_met_for_longest_tails_first() -> None:
    """As an engine's radix tree does."""
    cache = PrefixCache(4 * BLOCK)
    cache.keep("a" * 2 * BLOCK)
    cache.keep("b" * 2 * BLOCK)
    cache.keep("a" * 2 * BLOCK)
    cache.keep("c" * BLOCK)
    assert cache.known("a" * 3 * BLOCK) == 2 * BLOCK
    assert cache.known("b" * 2 * BLOCK) == BLOCK
    assert cache.known("c" * BLOCK) == BLOCK


def test_conversations_repeat_all_before_and_begin_anew() -> None:
    """Their users share a system prompt, and nothing else."""
    traffic = Traffic(users=4, groups=2, turns=2, system=100, document=200, question=50)

    def prompts(number: int) -> Iterator[str]:
        user = list(users(traffic, "1"))[number]
        for _ in range(6):
            asked = user.ask()
            yield "".join(content for _, content in asked)
            user.hear("yes")

    first, second = list(prompts(0)), list(prompts(2))
    assert first == list(prompts(0))
    longer = [later.startswith(earlier) for earlier, later in itertools.pairwise(first)]
    assert longer in ([True, False, True, False, True], [False, True, False, True, False])
    assert first[0][:90] == second[0][:90] == first[3][:90]
    assert first[0][120:160] != second[0][120:160]


def test_outcomes_are_shares_and_medians() -> None:
    """Of tokens, of requests, of seconds."""
    outcome = Outcome(prompt=200, cached=50, waits=[0.1, 0.2, 0.3])
    outcome.by_home.update({"m/0": 3, "m/1": 1})
    readings = outcome.readings()
    assert readings["hit_rate"] == 0.25
    assert readings["imbalance"] == 1.5
    assert readings["first_token_p50_ms"] == 200
    assert medians([{"a": 1.0}, {"a": 5.0}, {"a": 2.0}]) == {"a": 2.0}


def test_without_an_engine_there_is_a_simulation_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a record of it."""
    monkeypatch.setenv("HOONIFY_ENVIRONMENTS", str(tmp_path / "none"))
    simulate = prefix.simulate
    monkeypatch.setattr(prefix, "simulate", lambda *given: simulate(*given, requests=20))
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n<!-- measured -->\n\nlong ago\n")
    assert prefix.main(["--json", str(tmp_path / "record.json"), "--page", str(page)]) == 0
    said = capsys.readouterr().out
    assert "everything here is simulated" in said
    assert "documents, 8 simulated homes" in said
    record = json.loads((tmp_path / "record.json").read_text())
    assert "sglang" not in record
    assert record["simulated"]["assistants"]["4"]["prefix"]["hit_rate"] > 0
    assert page.read_text().startswith("# A page\n\n<!-- measured -->\n\n20")
    assert "assistants, 4 simulated homes" in page.read_text()
    assert "long ago" not in page.read_text()
