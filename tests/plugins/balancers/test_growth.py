"""Of many homes a choice looks at a few: counted here, measured by ``benchmarks.growth``."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from hoonify_plugins.balancers.least_loaded import LeastLoaded, LeastLoadedSettings
from hoonify_plugins.balancers.prefix import Prefix, PrefixSettings
from hoonify_router.api import Balancer

from .conftest import MakeCandidates, MakeContext


class Watched(tuple[Any, ...]):
    """Candidates that count who looks at them."""

    looks: list[int]

    def __getitem__(self, index: Any) -> Any:
        self.looks[0] += 1
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[Any]:
        for one in super().__iter__():
            self.looks[0] += 1
            yield one


@pytest.mark.parametrize("busy", [0, 40])
@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda: LeastLoaded(LeastLoadedSettings(), random.Random(7)), 2),
        (lambda: Prefix(PrefixSettings(), random.Random(7)), 40),
    ],
)
def test_two_hundred_homes_are_not_all_looked_at(
    candidates: MakeCandidates, context: MakeContext, make: Any, most: int, busy: int
) -> None:
    """Known prompts and new ones, homes with much to do and with little."""
    balancer: Balancer = make()
    homes = Watched(candidates(*[1] * 200, busy=[busy] * 200))
    homes.looks = [0]
    balancer.update([one.home for one in homes])
    asked = [context(f"{number % 50} knows this" * 100) for number in range(500)]
    balancer.choose(homes, asked[0])
    homes.looks[0] = 0
    for ctx in asked:
        assert balancer.choose(homes, ctx) is not None
    assert homes.looks[0] / len(asked) <= most


def test_the_least_busy_of_few_is_always_found(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """Only where there are many does a look last for some choices."""
    balancer = Prefix(PrefixSettings(), random.Random(7))
    homes = tuple(candidates(1, 1, 1, 1))
    text = context("the same prompt again and again " * 50)
    first = balancer.choose(homes, text)
    first.in_flight = 100
    for least in [one for one in homes if one is not first]:
        for one in homes:
            if one is not first:
                one.in_flight = 0 if one is least else 10
        balancer.index.learn(
            balancer.index.chain("\0user\0" + "the same prompt again and again " * 50),
            first.home.id,
        )
        assert balancer.choose(homes, text) is least
