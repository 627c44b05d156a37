"""What is at a home is counted exactly, and the home is judged by how its requests end."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.router.doubles import home

from hoonify_router import errors
from hoonify_router.answer import Answer
from hoonify_router.completion import Completion
from hoonify_router.config.model import Breaker, ModelConfig
from hoonify_router.errors import Cancelled, EngineDead, RouterError
from hoonify_router.places import Place, is_fault_of_home
from hoonify_router.support import Support

SUPPORT = Support("parrot", None, images=False)


def a_place(failures: int = 2, cool_down: float = 60.0) -> Place:
    breaker = Breaker(failures, cool_down)  # type: ignore[arg-type]
    return Place(home(), SUPPORT, ModelConfig("Nobody", 4096, backend="echo", breaker=breaker))


def an_answer() -> Answer:
    return Completion(None, ("x", 1, "parrot"), 1, lambda: None)  # type: ignore[arg-type]


def visit(place: Place, error: RouterError | None) -> None:
    """Ask the home once."""
    permit = place.enter(an_answer())
    assert permit is not None
    place.leave(permit, error)


FAULTS = {
    "ModelUnavailable",
    "EngineDead",
    "BrokenAnswer",
    "UnfinishedAnswer",
    "OutOfMemory",
    "HomeTimeout",
    "ConnectTimeout",
    "FirstTokenTimeout",
    "IdleTimeout",
}


KINDS = {
    name: kind
    for name, kind in errors.error_kinds().items()
    if kind.__module__ == errors.__name__  # tests have some of their own
}


def test_only_failures_of_the_home_count() -> None:
    """5xx, timeouts and broken connections: no client's mistake, no full queue, nobody's departure."""
    assert {name for name, kind in KINDS.items() if is_fault_of_home(kind("x"))} == FAULTS


@pytest.mark.parametrize("name", sorted(set(KINDS) - FAULTS))
def test_no_other_error_opens_the_door_or_shuts_it(name: str) -> None:
    """However many come in a row."""
    place = a_place()
    for _ in range(10):
        visit(place, KINDS[name]("x"))
    assert place.breaker.closed
    visit(place, EngineDead("x"))
    visit(place, KINDS[name]("x"))
    visit(place, EngineDead("x"))
    assert not place.breaker.closed


def test_opening_and_closing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Once each, with the home's name and the pause."""
    caplog.set_level(logging.INFO)
    place = a_place(cool_down=60.0)
    for _ in range(2):
        visit(place, EngineDead("x"))
    assert not place.admits(0.0)
    place.breaker.retry_at = 0.0
    visit(place, EngineDead("x"))
    place.breaker.retry_at = 0.0
    visit(place, None)
    visit(place, None)
    assert [record.getMessage() for record in caplog.records] == [
        "home parrot has failed 2 times in a row; it is left alone for 60 s, then probed",
        "home parrot has failed its probe; it is left alone for 120 s, then probed",
        "home parrot answers again",
    ]


def test_a_probe_that_streams_lets_others_follow_at_its_first_token() -> None:
    """Its answer may take minutes."""
    place = a_place()
    for _ in range(2):
        visit(place, EngineDead("x"))
    place.breaker.retry_at = 0.0
    answer = an_answer()
    permit = place.enter(answer)
    assert permit is not None
    assert not place.admits(1e9)
    assert place.enter(an_answer()) is None
    assert place.in_flight == 1
    answer.text("a")
    assert place.admits(1e9)
    other = place.enter(an_answer())
    assert other is not None
    place.leave(permit, None)
    place.leave(other, None)
    assert place.in_flight == 0


def test_a_home_in_a_new_state_is_judged_anew() -> None:
    """It has been started again; what the former one still fails with does not count."""
    place = a_place()
    permits = [place.enter(an_answer()) for _ in range(4)]
    for permit in permits[:2]:
        place.leave(permit or 0, EngineDead("x"))
    assert not place.breaker.closed
    place.update(home(state="failed"), SUPPORT)
    place.update(home(address="/run/other.sock"), SUPPORT)
    assert place.breaker.closed
    for permit in permits[2:]:
        place.leave(permit or 0, EngineDead("x"))
    assert place.breaker.closed
    assert place.in_flight == 0


OUTCOMES = st.sampled_from([None, EngineDead("x"), Cancelled("x"), errors.Overloaded("x")])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), OUTCOMES), max_size=60))
def test_counts_return_to_zero(steps: list[tuple[bool, int, RouterError | None]]) -> None:
    """Whoever enters is counted until it leaves, whatever the breaker does meanwhile."""
    place = a_place(cool_down=1e-9)
    inside: list[int] = []
    for enters, number, outcome in steps:
        if enters:
            permit = place.enter(an_answer())
            if permit is not None:
                inside.append(permit)
        elif inside:
            place.leave(inside.pop(number % len(inside)), outcome)
        assert place.in_flight == len(inside)
    for permit in inside:
        place.leave(permit, None)
    assert place.in_flight == 0
