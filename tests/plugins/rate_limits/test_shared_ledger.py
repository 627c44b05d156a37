"""Counts in shared memory: exact, whoever counts at the same time, whoever dies meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.thoroughness import examples

from hoonify_plugins.rate_limits import shared_ledger
from hoonify_plugins.rate_limits.ledger import Charge, scope_tag
from hoonify_plugins.rate_limits.settings import Limits
from hoonify_plugins.rate_limits.shared_ledger import LedgerFull, SharedLedger

NOON = 1_800_000_000.0 - 1_800_000_000 % 60
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(params=[True, False], ids=["shared", "alone"])
def ledger(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SharedLedger]:
    """A ledger of its own, of one process of several or of the only one."""
    made = SharedLedger(tmp_path / "limits", shared=request.param)
    yield made
    made.close()


def charge(key: str = "key_1", **limits: int) -> Charge:
    """Return a charge of one key."""
    return Charge(scope_tag(key), Limits(**limits))


def test_requests_pass_up_to_the_limit(ledger: SharedLedger) -> None:
    """The verdict tells what is left after each, and who refuses."""
    charges = [charge(requests_per_minute=3)]
    left = [ledger.admit(charges, 0, NOON).left.requests for _ in range(3)]
    assert left == [2, 1, 0]
    refused = ledger.admit(charges, 0, NOON + 59)
    assert (refused.refused_by, refused.left.requests) == ("requests", 0)
    assert ledger.admit(charges, 0, NOON + 60).refused_by is None


def test_keys_do_not_share_counts(ledger: SharedLedger) -> None:
    """One key's use is no other's."""
    assert ledger.admit([charge("a", requests_per_minute=1)], 0, NOON).refused_by is None
    assert ledger.admit([charge("b", requests_per_minute=1)], 0, NOON).refused_by is None
    assert ledger.admit([charge("a", requests_per_minute=1)], 0, NOON).refused_by == "requests"


def test_tokens_are_reserved_and_settled(ledger: SharedLedger) -> None:
    """What was reserved and not used is given back, what was used beyond it is charged."""
    charges = [charge(tokens_per_minute=100)]
    first = ledger.admit(charges, 80, NOON)
    assert first.left.tokens == 20
    assert ledger.admit(charges, 30, NOON).refused_by == "tokens"
    ledger.settle(charges, first.window, 80, 10, NOON + 1)
    second = ledger.admit(charges, 30, NOON + 1)
    assert second.left.tokens == 60
    ledger.settle(charges, second.window, 30, 95, NOON + 2)
    assert ledger.admit(charges, 1, NOON + 2).refused_by == "tokens"


def test_a_request_that_is_settled_in_a_later_window(ledger: SharedLedger) -> None:
    """Its reservation went with its window; only what it used beyond that counts now."""
    charges = [charge(tokens_per_minute=100)]
    first = ledger.admit(charges, 80, NOON)
    ledger.settle(charges, first.window, 80, 50, NOON + 61)
    assert ledger.admit(charges, 100, NOON + 61).left.tokens == 0
    again = ledger.admit(charges, 10, NOON + 121)
    ledger.settle(charges, again.window, 10, 40, NOON + 181)
    assert ledger.admit(charges, 70, NOON + 181).refused_by is None
    assert ledger.admit(charges, 1, NOON + 181).refused_by == "tokens"


def test_who_has_read_the_clock_a_moment_too_early_loses_nobody_s_counts(
    ledger: SharedLedger,
) -> None:
    """A process that is held up between its look at the clock and its turn counts in the new window, too."""
    wide = charge("a", requests_per_minute=9)
    narrow = Charge(scope_tag("a", "model"), Limits(requests_per_minute=3))
    for _ in range(2):
        ledger.admit([wide], 0, NOON + 59)
    for _ in range(3):
        assert ledger.admit([narrow], 0, NOON + 60).refused_by is None
    late = ledger.admit([wide, narrow], 0, NOON + 59.999)
    assert (late.refused_by, late.charge, late.window) == ("requests", 1, NOON // 60 + 1)
    ledger.settle([narrow], int(NOON // 60), 0, 5, NOON + 59.999)
    assert ledger.admit([narrow], 0, NOON + 60).refused_by == "requests"


def test_a_clock_that_is_set_back_stops_nobody(ledger: SharedLedger) -> None:
    """Counts of an hour that has not come yet are not waited for."""
    each = [charge(requests_per_minute=1)]
    assert ledger.admit(each, 0, NOON + 3600).refused_by is None
    assert ledger.admit(each, 0, NOON).refused_by is None
    assert ledger.admit(each, 0, NOON).refused_by == "requests"


def test_a_request_larger_than_a_window_passes_in_a_fresh_one(ledger: SharedLedger) -> None:
    """Or it could never pass."""
    charges = [charge(tokens_per_minute=100)]
    assert ledger.admit(charges, 500, NOON).refused_by is None
    assert ledger.admit(charges, 1, NOON).refused_by == "tokens"


def test_requests_under_way_are_bounded(ledger: SharedLedger) -> None:
    """One that ends makes room, in whatever window."""
    charges = [charge(concurrent_requests=2)]
    verdicts = [ledger.admit(charges, 0, NOON) for _ in range(2)]
    assert ledger.admit(charges, 0, NOON + 61).refused_by == "concurrent"
    ledger.settle(charges, verdicts[0].window, 0, 0, NOON + 62)
    assert ledger.admit(charges, 0, NOON + 62).refused_by is None


def test_all_charges_or_none(ledger: SharedLedger) -> None:
    """A request that one set of limits refuses costs nothing with the others."""
    wide = charge("a", requests_per_minute=10)
    narrow = Charge(scope_tag("a", "model"), Limits(requests_per_minute=1))
    assert ledger.admit([wide, narrow], 0, NOON).left.requests == 9
    refused = ledger.admit([wide, narrow], 0, NOON)
    assert (refused.refused_by, refused.charge, refused.left.requests) == ("requests", 1, 9)


def test_two_new_entries_in_one_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets a place of its own."""
    monkeypatch.setattr(SharedLedger, "_bucket", staticmethod(lambda tag: 7))
    ledger = SharedLedger(tmp_path / "limits")
    one, other = charge("a", requests_per_minute=9), charge("b", requests_per_minute=5)
    ledger.admit([one, other], 0, NOON)
    assert ledger.admit([one], 0, NOON).left.requests == 7
    assert ledger.admit([other], 0, NOON).left.requests == 3
    ledger.close()


def test_old_entries_make_room_and_live_ones_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket full of counts of this minute refuses to forget any of them."""
    monkeypatch.setattr(SharedLedger, "_bucket", staticmethod(lambda tag: 7))
    ledger = SharedLedger(tmp_path / "limits")
    for number in range(shared_ledger.ENTRIES):
        each = [charge(str(number), requests_per_minute=1)]
        ledger.settle(each, ledger.admit(each, 0, NOON).window, 0, 0, NOON)
    with pytest.raises(LedgerFull):
        ledger.admit([charge("late", requests_per_minute=1)], 0, NOON)
    assert ledger.admit([charge("late", requests_per_minute=1)], 0, NOON + 60).refused_by is None
    ledger.close()


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"), st.integers(0, 50), st.integers(0, 80), st.integers(0, 90)
        ),
        max_size=30,
    )
)
def test_counters_return_to_rest(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[str, int, int, int]]
) -> None:
    """Whatever was reserved, used and refused: afterwards nothing is under way, and tokens are those used."""
    ledger = SharedLedger(tmp_path_factory.mktemp("l") / "limits")
    limits = {"requests_per_minute": 20, "tokens_per_minute": 10_000, "concurrent_requests": 8}
    used = {"a": 0, "b": 0}
    for key, reserved, spent, _ in story:
        charges = [charge(key, **limits)]
        verdict = ledger.admit(charges, reserved, NOON)
        if verdict.refused_by is None:
            ledger.settle(charges, verdict.window, reserved, spent, NOON)
            used[key] += spent
    for key, spent in used.items():
        assert ledger.under_way(scope_tag(key)) == 0
        left = ledger.admit([charge(key, tokens_per_minute=10_000)], 0, NOON).left.tokens
        assert left == 10_000 - spent
    ledger.close()


def _hammer(path: Path, times: int, gate: Connection) -> None:
    ledger = SharedLedger(path)
    charges = [charge(requests_per_minute=500, tokens_per_minute=1_000_000)]
    gate.send("ready")
    gate.recv()
    admitted = [ledger.admit(charges, 7, NOON) for _ in range(times)]
    left = [v.left.requests for v in admitted if v.refused_by is None]
    gate.send((len(left), left))
    gate.recv()
    ledger.close()


def test_many_processes_count_exactly(tmp_path: Path) -> None:
    """Near its limit a key gets exactly its requests, each with a remainder of its own."""
    path = tmp_path / "limits"
    workers, gates = [], []
    for _ in range(4):
        ours, theirs = SPAWN.Pipe()
        workers.append(SPAWN.Process(target=_hammer, args=(path, 200, theirs)))
        gates.append(ours)
        workers[-1].start()
    for gate in gates:
        assert gate.recv() == "ready"
    for gate in gates:
        gate.send("go")
    told = [gate.recv() for gate in gates]
    for gate in gates:
        gate.send("done")
    for worker in workers:
        worker.join()
    assert sum(count for count, _ in told) == 500
    assert sorted(left for _, each in told for left in each) == list(range(500))
    assert all(each == sorted(each, reverse=True) for _, each in told)


def _hold(path: Path, gate: Connection, shared: bool = True) -> None:
    ledger = SharedLedger(path, shared)
    ledger.admit([charge(concurrent_requests=1)], 0, NOON)
    gate.send("held")
    gate.recv()


def test_who_counts_alone_does_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else begins to count before it is gone; then its successor finds its counts."""
    ours, theirs = SPAWN.Pipe()
    worker = SPAWN.Process(target=_hold, args=(tmp_path / "limits", theirs, False))
    worker.start()
    assert ours.recv() == "held"
    monkeypatch.setattr(shared_ledger, "_PATIENCE", 0.05)
    with pytest.raises(LedgerFull, match="another process"):
        SharedLedger(tmp_path / "limits", shared=False)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    monkeypatch.undo()
    successor = SharedLedger(tmp_path / "limits", shared=False)
    assert successor.admit([charge(requests_per_minute=2)], 0, NOON).left.requests == 0
    assert successor.admit([charge(concurrent_requests=1)], 0, NOON).refused_by is None
    successor.close()


def test_a_killed_process_leaves_nothing_under_way(tmp_path: Path) -> None:
    """The next one that starts clears what it held; the living ones keep theirs."""
    ours, theirs = SPAWN.Pipe()
    worker = SPAWN.Process(target=_hold, args=(tmp_path / "limits", theirs))
    worker.start()
    assert ours.recv() == "held"
    ledger = SharedLedger(tmp_path / "limits")
    assert ledger.admit([charge(concurrent_requests=1)], 0, NOON).refused_by == "concurrent"
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    successor = SharedLedger(tmp_path / "limits")
    assert ledger.admit([charge(concurrent_requests=1)], 0, NOON).refused_by is None
    ledger.close()
    successor.close()


@pytest.mark.slow
def test_a_hundred_thousand_keys_in_one_minute_find_room(ledger: SharedLedger) -> None:
    """Each is counted by itself."""
    tags = [scope_tag(f"key_{number}") for number in range(100_000)]
    limits = Limits(requests_per_minute=2)
    for tag in tags:
        assert ledger.admit([Charge(tag, limits)], 0, NOON).refused_by is None
    for tag in tags[::997]:
        assert ledger.admit([Charge(tag, limits)], 0, NOON).refused_by is None
        assert ledger.admit([Charge(tag, limits)], 0, NOON).refused_by == "requests"


def test_holes_are_not_walked_through(ledger: SharedLedger) -> None:
    """A gateway that takes a killed one's place looks at what was used, not at all that could have been."""
    limits = Limits(concurrent_requests=9)
    tags = [scope_tag(f"key_{number}") for number in range(50)]
    for tag in tags:
        ledger.admit([Charge(tag, limits)], 0, NOON)
    assert {ledger.under_way(tag) for tag in tags} == {1}
    used = list(ledger._entries_used())
    assert len(used) < 50 * 200
    assert set(ledger._places.values()) <= set(used)
    ledger._clear_column(ledger._column)
    assert {ledger.under_way(tag) for tag in tags} == {0}
