"""The less busy one of two, against its weight."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from hoonify_plugins.balancers.least_loaded import LeastLoaded, LeastLoadedSettings
from hoonify_router.api import Candidate, RequestContext

MakeCandidates = Callable[..., list[Candidate]]
MakeContext = Callable[..., RequestContext]


def balancer(seed: int = 1) -> LeastLoaded:
    return LeastLoaded(LeastLoadedSettings(), random.Random(seed))


def chosen(made: list[Candidate], ctx: RequestContext, times: int = 200) -> Counter[str]:
    one = balancer()
    return Counter(one.choose(made, ctx).home.id for _ in range(times))


def test_of_two_the_less_busy_one_is_taken(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """Always; between equals the dice decide."""
    assert chosen(candidates(1, 1, busy=[3, 2]), context()) == {"m/1": 200}
    equal = chosen(candidates(1, 1, busy=[2, 2]), context())
    assert 60 < equal["m/0"] < 140


def test_a_heavy_home_takes_more(candidates: MakeCandidates, context: MakeContext) -> None:
    """Three times as many before it counts as busier; idle, it goes first."""
    assert chosen(candidates(3, 1), context()) == {"m/0": 200}
    assert chosen(candidates(3, 1, busy=[1, 0]), context()) == {"m/0": 200}
    assert chosen(candidates(3, 1, busy=[3, 0]), context()) == {"m/1": 200}


def test_what_engines_tell_counts_where_both_do(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """Other gateways' requests are seen; a home that does not tell seems no idler than it is."""
    assert chosen(candidates(1, 1, busy=[0, 1], told=[8, 0]), context()) == {"m/1": 200}
    assert chosen(candidates(1, 1, busy=[0, 1], told=[8, None]), context()) == {"m/0": 200}


def test_of_many_the_busiest_is_never_taken(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """The others share, the idlest most."""
    shares = chosen(candidates(1, 1, 1, 1, busy=[9, 0, 4, 5]), context(), 1200)
    assert shares["m/0"] == 0
    assert shares["m/1"] > shares["m/2"] > shares["m/3"] > 100


def test_requests_that_stay_are_spread_by_weight(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """With nothing ending, each home has its share within a few requests."""
    made, one, ctx = candidates(1, 2, 3, 4), balancer(), context()
    for _ in range(1000):
        one.choose(made, ctx).in_flight += 1
    for candidate, share in zip(made, (100, 200, 300, 400), strict=True):
        assert abs(candidate.in_flight - share) <= 15
