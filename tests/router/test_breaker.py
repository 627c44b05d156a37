"""The policy of a circuit breaker: when it opens, who probes, when it closes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoonify_router.breaker import LONGEST_PAUSE, Breaker


def opened(failures: int = 3, cool_down: float = 5.0, at: float = 100.0) -> Breaker:
    """Return a breaker that has just opened."""
    breaker = Breaker(failures, cool_down)
    for number in range(failures):
        assert breaker.failed(permit(breaker, at), at) is (number == failures - 1)
    return breaker


def permit(breaker: Breaker, now: float) -> int:
    """Enter, which must be allowed."""
    given = breaker.enter(now)
    assert given is not None
    return given


def test_it_opens_after_failures_in_a_row() -> None:
    """Not before, and a success in between starts the count again."""
    breaker = Breaker(3, 5.0)
    for outcome in "ffsff":
        told = permit(breaker, 0.0)
        if outcome == "f":
            assert not breaker.failed(told, 0.0)
        else:
            assert not breaker.succeeded(told)
    assert breaker.closed
    assert breaker.failed(permit(breaker, 0.0), 0.0)
    assert (breaker.state, breaker.closed, breaker.trips) == ("open", False, 1)


def test_what_says_nothing_of_the_home_changes_nothing() -> None:
    """Clients that leave, and requests that are refused, neither count nor make up for failures."""
    breaker = Breaker(3, 5.0)
    for outcome in "fxfxx":
        told = permit(breaker, 0.0)
        if outcome == "f":
            breaker.failed(told, 0.0)
        else:
            breaker.released(told, 0.0)
    assert breaker.closed
    assert breaker.failed(permit(breaker, 0.0), 0.0)


def test_while_it_is_open_nobody_enters() -> None:
    """Until the cool-down is over; it tells how long that is."""
    breaker = opened(cool_down=5.0, at=100.0)
    assert not breaker.admits(104.9)
    assert breaker.enter(104.9) is None
    assert breaker.wait(101.0) == 4.0
    assert breaker.admits(105.0)
    assert breaker.wait(106.0) == 0.0


def test_exactly_one_request_is_the_probe() -> None:
    """All others go elsewhere until it is known how it ended."""
    breaker = opened()
    probe = permit(breaker, 105.0)
    assert breaker.state == "half-open"
    assert not breaker.admits(1e9)
    assert breaker.enter(1e9) is None
    assert breaker.succeeded(probe)
    assert (breaker.state, breaker.closed, breaker.trips) == ("closed", True, 0)
    assert breaker.wait(105.0) == 0.0
    permit(breaker, 105.0)
    permit(breaker, 105.0)


def test_each_failed_probe_doubles_the_pause_up_to_a_bound() -> None:
    """A home that is down for a day is asked every five minutes, not every day."""
    breaker, now, pauses = opened(), 100.0, []
    for _ in range(40):
        pauses.append(breaker.retry_at - now)
        now = breaker.retry_at
        assert breaker.failed(permit(breaker, now), now)
    assert pauses[:7] == [5, 10, 20, 40, 80, 160, 300]
    assert set(pauses[7:]) == {LONGEST_PAUSE}


def test_a_long_cool_down_is_kept() -> None:
    """The bound never makes the operator's own pause shorter."""
    breaker = opened(cool_down=1000.0, at=0.0)
    assert breaker.retry_at == 1000.0
    breaker.failed(permit(breaker, 1000.0), 1000.0)
    assert breaker.retry_at == 2000.0


def test_a_probe_that_is_given_up_leaves_the_door_as_it_was() -> None:
    """The next request is the probe, at once and with the same pause after it."""
    breaker = opened()
    breaker.released(permit(breaker, 105.0), 106.0)
    assert breaker.state == "open"
    second = permit(breaker, 106.0)
    assert breaker.enter(106.0) is None
    assert breaker.failed(second, 106.0)
    assert breaker.retry_at == 116.0


def test_others_enter_as_soon_as_the_probes_answer_has_begun() -> None:
    """On trial: one failure opens it again, with twice the pause; a whole answer makes up for all."""
    breaker = opened()
    probe = permit(breaker, 105.0)
    assert breaker.began(probe)
    assert not breaker.began(probe)
    other = permit(breaker, 105.0)
    assert breaker.failed(probe, 110.0)  # it broke in the middle
    assert breaker.retry_at == 120.0
    assert not breaker.succeeded(other)  # it was asked before the breaker opened
    assert breaker.state == "open"
    probe = permit(breaker, 120.0)
    breaker.began(probe)
    assert not breaker.succeeded(probe)
    assert breaker.trips == 0
    assert not breaker.failed(permit(breaker, 120.0), 120.0)


def test_old_permits_are_no_news() -> None:
    """Requests that were under way when it opened neither close it nor prolong the pause."""
    breaker = Breaker(2, 5.0)
    old = [permit(breaker, 0.0) for _ in range(5)]
    breaker.failed(old[0], 0.0)
    assert breaker.failed(old[1], 0.0)
    assert not breaker.failed(old[2], 3.0)
    assert breaker.retry_at == 5.0
    assert not breaker.succeeded(old[3])
    assert breaker.state == "open"
    probe = permit(breaker, 5.0)
    breaker.released(old[4], 5.0)
    assert breaker.state == "half-open"
    assert breaker.succeeded(probe)


@pytest.mark.parametrize("state", ["closed", "open", "half-open"])
def test_a_reset_forgets_everything(state: str) -> None:
    """A home that was started anew is judged anew, whatever its former life still says."""
    breaker = Breaker(2, 5.0) if state == "closed" else opened(2)
    old = breaker.enter(200.0) if state != "open" else 0
    if state == "closed":
        breaker.failed(permit(breaker, 0.0), 0.0)
    breaker.reset()
    assert (breaker.state, breaker.trips) == ("closed", 0)
    assert old is not None
    assert not breaker.failed(old, 200.0)
    assert not breaker.failed(permit(breaker, 200.0), 200.0)
    assert breaker.failed(permit(breaker, 200.0), 200.0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "wait", "success", "failure", "release", "began", "reset"]),
        st.integers(0, 9),
    ),
    max_size=80,
)


@given(STEPS, st.integers(1, 4))
def test_there_is_one_probe_at_most_and_no_door_stays_shut(
    steps: list[tuple[str, int]], failures: int
) -> None:
    """Whatever requests do, in whatever order: in the end the home is asked again."""
    breaker, now = Breaker(failures, 5.0), 0.0
    inside: list[int] = []
    probe: int | None = None
    for step, number in steps:
        before = breaker.state
        if step == "enter":
            admitted = breaker.admits(now)
            given = breaker.enter(now)
            assert (given is not None) == admitted
            if given is not None:
                if before == "open":
                    assert breaker.state == "half-open"
                    probe = given
                inside.append(given)
            elif before == "half-open":
                assert probe in inside, "nobody probes, and nobody may"
        elif step == "wait":
            now += number
        elif step == "reset":
            breaker.reset()
        elif inside:
            told = inside[number % len(inside)]
            if step == "began":
                breaker.began(told)
                continue
            inside.remove(told)
            if step == "success":
                breaker.succeeded(told)
            elif step == "failure":
                opens = breaker.failed(told, now)
                assert opens == (before != "open" and breaker.state == "open")
            else:
                breaker.released(told, now)
        assert breaker.closed == (breaker.state == "closed")
        assert breaker.retry_at <= now + LONGEST_PAUSE
    for told in inside:
        breaker.released(told, now)
    assert breaker.state != "half-open"
    assert breaker.enter(now + LONGEST_PAUSE) is not None
