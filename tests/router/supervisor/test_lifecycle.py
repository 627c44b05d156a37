"""The policy of a home's life, without any process: every time is made up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.thoroughness import examples

from hoonify_router.supervisor import lifecycle
from hoonify_router.supervisor.lifecycle import Life, Limits, Trouble

LIMITS = Limits()
CRASH = Trouble("It crashed.", "killed by SIGKILL")


def ready(now: float = 0.0, life: Life | None = None) -> Life:
    return lifecycle.became_ready(
        lifecycle.connected(lifecycle.start(life or Life(), now), now), now
    )


def failed_load(now: float, life: Life) -> Life:
    return lifecycle.failed(lifecycle.start(life, now), now, CRASH, LIMITS)


def test_a_good_start() -> None:
    """From stopped to ready, with nothing left of the load."""
    life = lifecycle.start(Life(), 1.0)
    assert (life.state, life.starts, life.began) == ("starting", 1, 1.0)
    life = lifecycle.connected(life, 2.0)
    life = lifecycle.progressed(life, 3.0, "reading", 1, 10)
    assert life.progress == ("reading", 1, 10)
    life = lifecycle.became_ready(life, 4.0)
    assert (life.state, life.progress, life.since) == ("ready", None, 4.0)
    assert life.load_seconds == 3.0
    again = lifecycle.start(lifecycle.failed(life, 5.0, CRASH, LIMITS), 6.0)
    assert (again.load_seconds, again.starts) == (3.0, 2)


def test_cool_down_doubles_up_to_five_minutes() -> None:
    """Ten seconds first; the reason stays until the home is ready."""
    life, now, pauses = Life(), 0.0, []
    for _ in range(8):
        life = failed_load(now, life)
        assert life.retry_at is not None
        pauses.append(life.retry_at - now)
        assert not lifecycle.may_start(life, life.retry_at - 0.01)
        now = life.retry_at
        assert lifecycle.may_start(life, now)
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300]
    assert lifecycle.start(life, now).reason == "It crashed."
    assert ready(now, life).reason == ""


def test_the_first_crash_of_a_ready_home_is_followed_by_a_restart_at_once() -> None:
    """The second one soon after is not."""
    life = lifecycle.failed(ready(0.0), 5.0, CRASH, LIMITS)
    assert life.retry_at == 5.0
    assert lifecycle.may_start(life, 5.0)
    life = lifecycle.failed(ready(5.0, life), 6.0, CRASH, LIMITS)
    assert life.retry_at == 16.0


def test_a_crash_loop_cools_down_longer_and_longer() -> None:
    """Being ready for a moment makes up for nothing."""
    life, now, pauses = Life(), 0.0, []
    for _ in range(5):
        life = lifecycle.failed(ready(now, life), now + 1, CRASH, LIMITS)
        assert life.retry_at is not None
        pauses.append(life.retry_at - now - 1)
        now = life.retry_at
    assert pauses == [0, 10, 20, 40, 80]


def test_serving_well_makes_up_for_earlier_failures() -> None:
    """After a minute of service a crash counts as the first one again."""
    life = failed_load(100.0, failed_load(0.0, Life()))
    life = lifecycle.failed(ready(200.0, life), 260.0, CRASH, LIMITS)
    assert life.retry_at == 260.0
    assert life.strikes == 0


def test_a_restart_budget_bounds_a_home_that_serves_well_and_dies_again() -> None:
    """Every two minutes is too often, however well it serves in between; until the time is over."""
    life, now, pauses, told = Life(), 0.0, [], []
    for _ in range(8):
        life = lifecycle.failed(ready(now, life), now + 110, CRASH, LIMITS)
        assert life.retry_at is not None
        pauses.append(life.retry_at - now - 110)
        told.append("failed 5 times within 10 minutes" in life.detail)
        now = life.retry_at
    assert pauses == [0, 0, 0, 0, 0, 300, 0, 0]
    assert told == [False] * 5 + [True] + [False] * 2
    assert life.reason == "It crashed."


def test_progress_resets_the_stall_timer_but_not_the_cap() -> None:
    """A load that goes on may be long, though not endless."""
    limits = replace(LIMITS, load_stall=10.0, load_timeout=35.0)
    life = lifecycle.connected(lifecycle.start(Life(), 0.0), 1.0)
    assert lifecycle.deadline(life, limits) == 11.0
    for now in (9.0, 18.0, 27.0):
        assert lifecycle.overdue(life, now, limits) is None
        life = lifecycle.progressed(life, now, "reading", int(now), 100)
    assert lifecycle.deadline(life, limits) == 35.0
    late = lifecycle.overdue(life, 35.0, limits)
    assert late is not None
    assert "load_timeout (35 s); last word: reading 27 100" in late.detail
    assert lifecycle.overdue(life, 34.9, limits) is None


def test_the_same_word_again_is_no_progress() -> None:
    """An engine that repeats itself is stuck."""
    limits = replace(LIMITS, load_stall=10.0)
    life = lifecycle.connected(lifecycle.start(Life(), 0.0), 0.0)
    life = lifecycle.progressed(life, 5.0, "reading", 1, 2)
    life = lifecycle.progressed(life, 14.0, "reading", 1, 2)
    stalled = lifecycle.overdue(life, 15.0, limits)
    assert stalled is not None
    assert "stuck" in stalled.reason


def test_a_start_that_never_connects_is_overdue_too() -> None:
    """The stall timer runs from the first moment."""
    life = lifecycle.start(Life(), 0.0)
    assert lifecycle.overdue(life, LIMITS.load_stall, LIMITS) is not None


def test_a_ready_home_must_be_heard_and_make_steps() -> None:
    """Silence and a stuck step are trouble; being idle or slow is not."""
    life = lifecycle.heartbeat(ready(0.0), 10.0, step_age=0.0)
    assert lifecycle.deadline(life, LIMITS) == 25.0
    assert lifecycle.overdue(life, 24.9, LIMITS) is None
    silent = lifecycle.overdue(life, 25.0, LIMITS)
    assert silent is not None
    assert "heartbeat" in silent.detail
    slow = lifecycle.heartbeat(life, 11.0, step_age=299.0)
    assert lifecycle.overdue(slow, 11.0, LIMITS) is None
    stuck = lifecycle.overdue(lifecycle.heartbeat(life, 11.0, step_age=300.0), 11.0, LIMITS)
    assert stuck is not None
    assert "progress" in stuck.reason


def test_time_alone_does_nothing_to_a_home_at_rest() -> None:
    """Stopped, failed and draining homes have no deadline of their own."""
    for life in (Life(), failed_load(0.0, Life()), lifecycle.draining(ready(), 1.0)):
        assert lifecycle.deadline(life, LIMITS) is None
        assert lifecycle.overdue(life, 1e9, LIMITS) is None


@pytest.mark.parametrize(
    ("move", "life"),
    [
        (lambda life: lifecycle.became_ready(life, 0.0), Life()),
        (lambda life: lifecycle.connected(life, 0.0), Life()),
        (lambda life: lifecycle.draining(life, 0.0), Life()),
        (lambda life: lifecycle.start(life, 0.0), ready()),
        (lambda life: lifecycle.start(life, 0.0), Life("unavailable")),
        (lambda life: lifecycle.failed(life, 0.0, CRASH, LIMITS), Life("draining")),
    ],
)
def test_impossible_moves_are_refused(move: object, life: Life) -> None:
    """A bug of a controller shows at once."""
    with pytest.raises(ValueError, match="cannot go from"):
        move(life)  # type: ignore[operator]


def test_a_server_is_looked_at_less_and_less_often() -> None:
    """One second after the first miss, half a minute at most, and soon again after an answer."""
    life, now, pauses = lifecycle.start(Life(), 0.0), 0.0, []
    for _ in range(7):
        life = lifecycle.unanswered(life, now, Trouble("Its server cannot be reached."))
        assert life.retry_at is not None
        pauses.append(life.retry_at - now)
        now = life.retry_at
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert life.since == 0.0
    life = lifecycle.answered(life, now)
    assert (life.state, life.reason, life.retry_at) == ("ready", "", None)
    assert lifecycle.answered(life, now + 5) is life
    life = lifecycle.unanswered(life, now + 6, CRASH)
    assert life.retry_at == now + 7


class LifeMachine(RuleBasedStateMachine):
    """Any order of events that a controller may report, at any times."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life()
        self.now = 0.0
        self.pauses: list[float] = []

    @rule(seconds=st.floats(0, 400))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: lifecycle.may_start(self.life, self.now))
    @rule()
    def start(self) -> None:
        self.life = lifecycle.start(self.life, self.now)

    @precondition(lambda self: self.life.state == "starting")
    @rule()
    def connect(self) -> None:
        self.life = lifecycle.connected(self.life, self.now)

    @rule(done=st.integers(0, 3))
    def progress(self, done: int) -> None:
        self.life = lifecycle.progressed(self.life, self.now, "reading", done, 3)

    @precondition(lambda self: self.life.state == "loading")
    @rule()
    def become_ready(self) -> None:
        self.life = lifecycle.became_ready(self.life, self.now)

    @rule(age=st.floats(0, 100))
    def heartbeat(self, age: float) -> None:
        self.life = lifecycle.heartbeat(self.life, self.now, age)

    @precondition(lambda self: self.life.state in ("starting", "loading", "ready"))
    @rule()
    def fail(self) -> None:
        served = self.life.state == "ready"
        well = served and self.now - self.life.since >= LIMITS.served_well
        before = [] if well else self.pauses
        self.life = lifecycle.failed(self.life, self.now, CRASH, LIMITS)
        assert self.life.retry_at is not None
        pause = self.life.retry_at - self.now
        cooled = [earlier for earlier in before if earlier]
        if pause < 1e-6:
            assert served
            assert 0.0 not in before
            self.pauses = [*before, 0.0]
        else:
            expected = min(LIMITS.cool_down * 2 ** len(cooled), LIMITS.cool_down_max)
            assert pause == pytest.approx(expected, abs=1e-3)
            self.pauses = [*before, pause]

    @precondition(lambda self: self.life.state == "ready")
    @rule()
    def drain_and_stop(self) -> None:
        self.life = lifecycle.stopped(lifecycle.draining(self.life, self.now), self.now)

    @invariant()
    def is_sound(self) -> None:
        life = self.life
        assert (life.retry_at is not None) == (life.state == "failed")
        assert (life.progress is None) or life.state == "loading"
        until = lifecycle.deadline(life, LIMITS)
        assert (until is not None) == (life.state in ("starting", "loading", "ready"))
        if until is not None:  # whoever wakes at the deadline finds something to do, not before
            assert lifecycle.overdue(life, until, LIMITS) is not None
            if life.step_age < LIMITS.step_timeout:
                assert lifecycle.overdue(life, until - 1, LIMITS) is None
        if life.state == "ready":
            assert life.reason == ""


TestLife = LifeMachine.TestCase
TestLife.settings = settings(max_examples=examples(50), stateful_step_count=30)


@given(st.integers(0, 10_000))
def test_no_number_of_failures_overflows(count: int) -> None:
    """A home may fail for years."""
    life = replace(Life(), strikes=min(count, 32))
    assert failed_load(0.0, life).retry_at in (10, 20, 40, 80, 160, 300)
