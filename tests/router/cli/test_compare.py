"""``compare``: the report of a shadow, for eyes and for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from hoonify_router.cli import compare
from hoonify_router.supervisor.comparison import comparison_of
from hoonify_router.types.comparison import Agreement, ShadowTally, Side

Run = Callable[..., Any]

TALLY = ShadowTally(
    key="k",
    since=1.0,
    requests=400,
    busy=2,
    errors={"EngineDead": 1},
    repeatable=Agreement(compared=30, exact=24, prefix=27.0),
    sampled=Agreement(compared=10, exact=1, prefix=2.5),
    home=Side(tokens=800, counted=40, characters=4000, ttft={120: 40}, itl={100: 40}),
    shadow=Side(failed=1, tokens=840, counted=40, characters=4200, ttft={120: 40}, itl={88: 40}),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the router was asked for."""
    told = comparison_of(
        "qwen", TALLY, share=0.1, state="ready", reason="", backends=("sglang", "exllamav2")
    )
    seen: list[Any] = []

    class FakeRouter:
        def ask(self, command: str, arguments: dict[str, Any], *, patience: float) -> Any:
            seen.append((command, arguments))
            return msgspec.to_builtins(told)

    monkeypatch.setattr(compare, "find_router", lambda config: FakeRouter())
    return seen


def test_a_report_ends_with_the_verdict(run: Run, asked: list[Any]) -> None:
    """And has both sides' numbers before it."""
    done = run("compare", "qwen")
    assert (done.status, done.err) == (0, [])
    assert asked == [("compare", {"model": "qwen"})]
    lines = done.out.splitlines()
    assert lines[-1] == (
        "Close: 80 % of 30 answers are equal, and on average the first 90 % of an answer; its first token takes"
        " about as long and its pause between tokens takes 0.5 times as long. Look at what differs before you move."
    )
    table = [line.split() for line in lines[:7]]
    assert ["backend", "sglang", "exllamav2"] in table
    assert ["failed", "0", "1"] in table
    assert ["tokens", "of", "an", "answer", "20.0", "21.0"] in table
    assert "errors: 1 EngineDead" in lines
    assert any("80.0% equal" in line for line in lines)
    assert any("2 because as many copies" in line for line in lines)


def test_the_same_as_json(run: Run, asked: list[Any]) -> None:
    """With a word for scripts."""
    told = json.loads(run("compare", "qwen", "--json").out)
    assert told["judgement"] == "close"
    assert told["repeatable"] == {"compared": 30, "exact": 0.8, "common_prefix": 0.9}
    assert told["shadow"]["mean_tokens"] == 21.0
