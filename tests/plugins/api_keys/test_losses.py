"""What keys lose when models or plans go."""

from __future__ import annotations

from typing import Any

from hoonify_plugins.api_keys.losses import losses
from hoonify_plugins.api_keys.record import new_key


def key(name: str, plan: str = "free", **fields: Any) -> Any:
    return new_key(name, plan, **fields)[0]


def test_those_who_named_the_model_are_named() -> None:
    """By glob or by ID; whoever may use all models is counted."""
    ci = key("ci", models=("qwen-*",))
    keys = [ci, key("a"), key("b"), key("other", models=("llama-3",))]
    assert losses(keys, ["qwen-3"], ["free"]) == [
        "2 keys that may use all models can no more ask qwen-3",
        f"key ci ({ci.id}) can no more ask qwen-3",
    ]


def test_a_plan_that_goes_strands_its_keys() -> None:
    """They would be refused everything."""
    one, two = key("one", "gold"), key("two", "gold")
    told = losses([one, two, key("three")], [], ["free"])
    assert told == [f"keys one ({one.id}), two ({two.id}): there is no plan 'gold' any more"]


def test_keys_that_are_good_no_more_lose_nothing() -> None:
    """Expired ones are of no interest."""
    assert losses([key("old", lifetime=-1)], ["qwen-3"], ["free"]) == []


def test_many_keys_are_not_all_listed() -> None:
    """The line stays one that can be read."""
    (line,) = losses([key(f"k{n}", "gold") for n in range(14)], [], ["free"])
    assert "k9" in line
    assert "and 4 more" in line
