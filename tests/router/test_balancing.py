"""Homes take turns by their weights, and a balancer that fails costs nobody an answer."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.router.doubles import home, request

from hoonify_router.api import Balancer, Candidate, RequestContext
from hoonify_router.balancing import Choice, RoundRobin
from hoonify_router.config.model import ModelConfig
from hoonify_router.places import Place
from hoonify_router.support import Support
from hoonify_router.types import Health, HomeView

CONFIG = ModelConfig("Nobody", 4096, backend="echo")
SUPPORT = Support("parrot", None, images=False)


def places(*weights: int) -> list[Place]:
    """Return a place per weight."""
    return [
        Place(home(id=f"parrot/{index}", weight=weight), SUPPORT, CONFIG)
        for index, weight in enumerate(weights)
    ]


def drawn(balancer: Balancer, candidates: Sequence[Candidate], times: int) -> list[str]:
    """Return who is chosen, one after the other."""
    ctx = request()
    return [balancer.choose(candidates, ctx).home.id for _ in range(times)]


@pytest.mark.parametrize("kind", [list, tuple])
@given(st.lists(st.integers(1, 1000), min_size=2, max_size=6))
def test_shares_are_exact(
    kind: Callable[[list[Place]], Sequence[Place]], weights: list[int]
) -> None:
    """After as many turns as all weights together everybody has had as many as its own, again and again."""
    balancer, candidates = RoundRobin(), kind(places(*weights))
    for _ in range(2):
        turns = Counter(drawn(balancer, candidates, sum(weights)))
        assert turns == {f"parrot/{i}": weight for i, weight in enumerate(weights)}


@pytest.mark.parametrize("kind", [list, tuple])
def test_turns_are_well_mixed(kind: Callable[[list[Place]], Sequence[Place]]) -> None:
    """A heavy home has no long runs while the others wait, in no round."""
    turns = drawn(RoundRobin(), kind(places(5, 1, 1)), 21)
    assert "".join(one[-1] for one in turns) == 3 * "0010200"


def test_weights_without_a_common_measure_are_shared_exactly_too() -> None:
    """Their round would be too long to be remembered."""
    turns = Counter(drawn(RoundRobin(), tuple(places(70_001, 9)), 7001))
    assert turns == {"parrot/0": 7000, "parrot/1": 1}


def test_a_round_goes_on_when_a_table_brings_the_same_homes() -> None:
    """Tables come often; other homes, or other weights, begin a round of their own."""
    balancer = RoundRobin()
    seen = [drawn(balancer, tuple(places(1, 1, 1)), 1)[0][-1] for _ in range(4)]
    assert "".join(seen) == "0120"
    assert drawn(balancer, tuple(places(3, 1)), 4) == [f"parrot/{i}" for i in (0, 0, 1, 0)]


@given(
    st.lists(st.integers(1, 50), min_size=3, max_size=5),
    st.lists(st.sets(st.integers(0, 4), min_size=2), max_size=60),
)
def test_nobody_inherits_the_turns_of_one_that_may_not_be_asked(
    weights: list[int], subsets: list[set[int]]
) -> None:
    """Shares among those that are there stay right, however often somebody is missing before."""
    balancer, all_places, ctx = RoundRobin(), places(*weights), request()
    for subset in subsets:
        there = [all_places[index] for index in subset if index < len(all_places)]
        if there:
            assert balancer.choose(there, ctx) in there
    turns = Counter(drawn(balancer, all_places, 20 * sum(weights)))
    for place in all_places:
        fair = 20 * place.home.weight
        assert abs(turns[place.home.id] - fair) <= len(subsets) + len(weights)


def test_turns_go_on_across_tables() -> None:
    """Tables come often; homes that have gone are forgotten."""
    balancer, three = RoundRobin(), places(1, 1, 1)
    views = [place.home for place in three]
    seen = []
    for _ in range(6):
        balancer.update(views)
        seen += drawn(balancer, three, 1)
    assert Counter(seen) == {"parrot/0": 2, "parrot/1": 2, "parrot/2": 2}
    balancer.update(views[:1])
    assert set(balancer._earned) == {"parrot/0"}


class Odd(Balancer):
    """A plugin's balancer that does what a test wants."""

    def __init__(self, choose: Any = None, update: Any = None) -> None:
        self._choose, self._update = choose, update
        self.seen: list[Candidate] = []

    def update(self, homes: Sequence[HomeView]) -> None:
        if self._update is not None:
            self._update(homes)

    def choose(self, candidates: Sequence[Candidate], ctx: RequestContext) -> Candidate:
        self.seen = list(candidates)
        return self._choose(candidates)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "choose",
    [
        lambda candidates: 1 // 0,
        lambda candidates: None,
        lambda candidates: candidates[0].home,
        lambda candidates: Candidate(candidates[0].home),
    ],
)
def test_a_balancer_that_fails_is_done_without(
    choose: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The least busy home serves; the log says so, once and not for every request."""
    three = places(1, 1, 2)
    three[0].in_flight, three[1].in_flight, three[2].in_flight = 2, 3, 3
    choice = Choice("parrot", Odd(choose))
    for _ in range(5):
        assert choice.among(three, request()) is three[2]
    assert [record.getMessage() for record in caplog.records] == [
        "the balancer of parrot failed; the least busy home is taken"
    ]


def test_a_balancer_that_cannot_hear_of_its_homes_is_asked_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A new table reaches everybody else."""
    two = places(1, 1)
    choice = Choice("parrot", Odd(lambda c: c[1], lambda homes: 1 // 0))
    with caplog.at_level(logging.ERROR):
        choice.update([place.home for place in two])
    assert "failed to hear" in caplog.text
    assert choice.among(two, request()) is two[1]


def test_a_balancer_sees_how_busy_engines_are() -> None:
    """As they last said; those that do not tell are told apart from idle ones."""
    loads = {"parrot/0": Health(running=3, queued=1)}
    views = [home(id=f"parrot/{number}") for number in range(2)]
    two = [Place(view, SUPPORT, CONFIG, lambda view: loads.get(view.id)) for view in views]
    balancer = Odd(lambda c: c[0])
    choice = Choice("parrot", balancer)
    choice.among(two, request())
    assert [one.load for one in balancer.seen] == [Health(running=3, queued=1), None]
    loads.clear()
    choice.among(two, request())
    assert [one.load for one in balancer.seen] == [None, None]
