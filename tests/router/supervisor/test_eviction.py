"""Who makes room for whom: sums, turns, and who is missed least."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoonify_router.supervisor.eviction import Tenant, Verdict, decide, fits

GIB = 2**30
TURN = 10.0
NOW = 1000.0


def tenant(name: str, size: float = 6, **more: Any) -> Tenant:
    """Return a home that has served for long on GPU 0."""
    return Tenant(name, {0: int(size * GIB)}, **{"ready_since": 100.0, **more})


def decide_on(new: float, *tenants: Tenant, now: float = NOW, **more: Any) -> Verdict:
    """Decide about a home of ``new`` GiB on a GPU of ten."""
    return decide({0: int(new * GIB)}, tenants, {0: 10 * GIB}, now, TURN, **more)


def test_what_fits_fits() -> None:
    """To the last byte, on each GPU by itself; where nothing is known of a GPU, anything does."""
    assert fits([{0: 4}], {0: 6}, {0: 10})
    assert not fits([{0: 4}], {0: 7}, {0: 10})
    assert fits([{0: 4, 1: 9}], {0: 6, 1: 1}, {0: 10, 1: 10})
    assert not fits([{0: 4, 1: 9}], {0: 6, 1: 2}, {0: 10, 1: 10})
    assert fits([{3: 99}], {3: 99}, {0: 10})
    assert fits([{0: 99}], {0: 0}, {0: 10})


def test_nobody_goes_while_there_is_room() -> None:
    """Six and four are ten."""
    assert decide_on(4, tenant("a")) == Verdict(fits=True)


def test_who_has_had_its_turn_makes_room() -> None:
    """At once, busy or not."""
    assert decide_on(6, tenant("a")).evict == ("a",)
    assert decide_on(6, tenant("a", busy=True)).evict == ("a",)


def test_a_turn_is_served_to_its_end() -> None:
    """Even by a home that has nothing to do: or two clients would make two models thrash."""
    fresh = tenant("a", ready_since=NOW - 3)
    assert decide_on(6, fresh) == Verdict(look_again=NOW + 7)
    assert decide_on(6, fresh, now=NOW + 7).evict == ("a",)


def test_nobody_is_disturbed_while_it_loads() -> None:
    """Its turn begins when it is ready."""
    assert decide_on(6, tenant("a", ready_since=None)) == Verdict()


def test_who_leaves_already_is_waited_for() -> None:
    """Nobody else goes."""
    assert decide_on(6, tenant("a", leaving=True)) == Verdict()
    both = [tenant("a", 5, leaving=True), tenant("b", 4)]
    assert decide_on(6, *both) == Verdict()


def test_what_always_runs_stays() -> None:
    """A home that can never have its room is told who is in the way."""
    assert decide_on(6, tenant("a", pinned=True)).never == ("a",)
    assert decide_on(11).never == ()
    assert decide_on(3, tenant("a", pinned=True), tenant("b", 4)).evict == ("b",)


def test_the_idle_go_before_the_busy() -> None:
    """Whatever their reload costs."""
    busy = tenant("busy", 5, busy=True, reload_cost=1)
    idle = tenant("idle", 5, reload_cost=1000)
    assert decide_on(5, busy, idle).evict == ("idle",)


def test_who_is_missed_least_goes_first() -> None:
    """Long unused before just used, quick to load before slow."""
    old, new = tenant("old", 5, last_used=200.0), tenant("new", 5, last_used=990.0)
    assert decide_on(5, new, old).evict == ("old",)
    quick, slow = tenant("quick", 5, reload_cost=2), tenant("slow", 5, reload_cost=600)
    assert decide_on(5, slow, quick).evict == ("quick",)


def test_no_more_go_than_must() -> None:
    """The small one that was chosen first stays, once a large one has to go anyway."""
    small = tenant("small", 2, last_used=0)
    large = tenant("large", 8, last_used=990)
    assert decide_on(8, small, large).evict == ("large",)
    assert decide_on(9, small, large).evict == ("small", "large")


def test_gpus_count_each_by_itself() -> None:
    """A home on another GPU is in nobody's way."""
    other = Tenant("other", {1: 9 * GIB}, ready_since=100.0)
    both = Tenant("both", {0: 5 * GIB, 1: GIB}, ready_since=100.0)
    assert decide_on(6, other, both).evict == ("both",)


def test_after_running_out_of_memory_a_home_gets_all_that_can_be_had() -> None:
    """The sums were wrong: everybody goes who may, whether its turn is over or not."""
    fresh = tenant("fresh", 1, ready_since=NOW - 1)
    pinned = tenant("pinned", 1, pinned=True)
    assert decide_on(2, fresh, pinned, tenant("old", 1), alone=True).evict == ("old", "fresh")
    assert decide_on(2, pinned, alone=True) == Verdict(fits=True)
    assert decide_on(2, tenant("loads", 1, ready_since=None), alone=True) == Verdict()


tenants = st.lists(
    st.builds(
        lambda number, size, pinned, busy, leaving, ready, used, cost: Tenant(
            f"t{number}",
            size,
            pinned,
            busy,
            leaving and not pinned,
            ready,
            used,
            cost,
        ),
        st.integers(0, 10**6),
        st.dictionaries(st.integers(0, 2), st.integers(0, 6), max_size=3),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.none() | st.floats(0, 30),
        st.floats(0, 30),
        st.none() | st.floats(0, 100),
    ),
    max_size=6,
    unique_by=lambda one: one.id,
)


@given(st.dictionaries(st.integers(0, 2), st.integers(1, 8), min_size=1), tenants, st.booleans())
def test_a_verdict_is_true(new: dict[int, int], others: list[Tenant], alone: bool) -> None:
    """Whatever the scene: nobody goes in vain, nobody too early, and every verdict has a way on."""
    capacity = {0: 10, 1: 10}
    verdict = decide(new, others, capacity, 30.0, TURN, alone=alone)
    by_name = {one.id: one for one in others}
    going = [by_name[name] for name in verdict.evict]
    left = [one.claim for one in others if one not in going and not one.leaving]
    if verdict.fits:
        assert alone or fits([one.claim for one in others], new, capacity)
        assert not going
    if going:
        assert fits(left, new, capacity) or alone
        for one in going:
            assert not one.pinned
            assert not one.leaving
            assert one.ready_since is not None
            assert alone or one.ready_since + TURN <= 30
            spared = [*left, one.claim]
            assert alone or not fits(spared, new, capacity)
    if verdict.never is not None:
        assert not fits([one.claim for one in others if one.pinned], new, capacity)
    if verdict.look_again is not None:
        assert verdict.look_again > 30
        assert decide(new, others, capacity, verdict.look_again, TURN, alone=alone).evict
    if verdict == Verdict():
        assert any(one.leaving or one.ready_since is None for one in others)


@pytest.mark.parametrize("seconds", [40.0, 400.0])
def test_two_that_do_not_fit_take_turns(seconds: float) -> None:
    """Simulated: each is loaded at most once per turn, whatever its load takes."""
    loads = {"a": 0, "b": 0}
    present, ready_since, now = "a", 0.0, 0.0
    while now < seconds:
        here = tenant(present, ready_since=ready_since, busy=True)
        verdict = decide_on(6, here, now=now)
        if verdict.look_again is not None:
            now = verdict.look_again
            continue
        present = "b" if present == "a" else "a"
        loads[present] += 1
        now += 0.1
        ready_since = now
    assert max(loads.values()) <= seconds / TURN + 1
