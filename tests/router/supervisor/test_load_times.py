"""Loads are remembered over restarts, by what is loaded, and a broken memory is no obstacle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hoonify_router.loader import Plugins
from hoonify_router.supervisor.lifecycle import Limits
from hoonify_router.supervisor.load_times import FILE_NAME, LoadTimes, identity_of
from hoonify_router.supervisor.plan import HomePlan, plan_homes


@pytest.fixture
def plan_of(load_yaml: Any, plugins: Plugins) -> Any:
    """Return the plan of the only home of a model."""

    def plan(name: str = "parrot", options: str = "slots: 2", more: str = "") -> HomePlan:
        text = f"models: {{{name}: {{provider: N, context_length: 9, backend: echo, options: {{{options}}}{more}}}}}"
        (one,) = plan_homes(load_yaml(text), plugins.backends, Limits())
        return one

    return plan


def test_nothing_is_expected_of_a_home_that_never_was_loaded(tmp_path: Path, plan_of: Any) -> None:
    """A made-up number would be worse than none."""
    assert LoadTimes(tmp_path).expected(plan_of()) is None


def test_the_middle_of_the_last_five_loads_is_expected(tmp_path: Path, plan_of: Any) -> None:
    """One slow load after a reboot does not spoil it, and old loads are forgotten."""
    times = LoadTimes(tmp_path / "made" / "when" / "needed")
    for seconds in (1000, 1000, 1000, 12, 90, 11, 10, 13):
        times.learn(plan_of(), seconds)
    assert times.expected(plan_of()) == 12


def test_it_is_kept_over_restarts(tmp_path: Path, plan_of: Any) -> None:
    """The next supervisor, and the command line, know it."""
    LoadTimes(tmp_path).learn(plan_of(), 42.5)
    assert LoadTimes(tmp_path).expected(plan_of()) == 42.5


def test_what_is_loaded_counts_and_not_what_it_is_called(plan_of: Any) -> None:
    """Another name is the same load; other options or another interpreter are not."""
    one = identity_of(plan_of())
    assert identity_of(plan_of("crow")) == one
    assert identity_of(plan_of(options="slots: 3")) != one
    assert identity_of(plan_of(more=", python: /opt/python")) != one


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1, 2]", b'{"a": {"seconds": "x"}}'])
def test_a_damaged_file_is_started_anew(tmp_path: Path, plan_of: Any, content: bytes) -> None:
    """It is an aid to memory, nothing more."""
    (tmp_path / FILE_NAME).write_bytes(content)
    times = LoadTimes(tmp_path)
    assert times.expected(plan_of()) is None
    times.learn(plan_of(), 3)
    assert LoadTimes(tmp_path).expected(plan_of()) == 3


def test_two_routers_may_share_a_state_folder(tmp_path: Path, plan_of: Any) -> None:
    """What one has learned, the other does not forget."""
    one, two = LoadTimes(tmp_path), LoadTimes(tmp_path)
    one.learn(plan_of(), 3)
    two.learn(plan_of(options="slots: 3"), 7)
    fresh = LoadTimes(tmp_path)
    assert fresh.expected(plan_of()) == 3
    assert fresh.expected(plan_of(options="slots: 3")) == 7


def test_a_folder_that_cannot_be_written_costs_a_line(
    tmp_path: Path, plan_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is remembered as long as the process lives."""
    (tmp_path / "file").touch()
    times = LoadTimes(tmp_path / "file" / "state")
    times.learn(plan_of(), 3)
    assert times.expected(plan_of()) == 3
    assert "cannot be written down" in caplog.text


def test_homes_that_are_long_gone_are_forgotten(
    tmp_path: Path, plan_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file does not grow for ever."""
    monkeypatch.setattr("hoonify_router.supervisor.load_times._MOST_HOMES", 3)
    times = LoadTimes(tmp_path)
    for slots in range(1, 6):
        times.learn(plan_of(options=f"slots: {slots}"), slots)
    known = [times.expected(plan_of(options=f"slots: {slots}")) for slots in range(1, 6)]
    assert known == [None, None, 3, 4, 5]
