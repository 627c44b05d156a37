"""Sessions: as many threads as there is room for, and what they do while they wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoonify_backends.onnxruntime import sessions
from hoonify_backends.onnxruntime.sessions import session_settings, usable_cores


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("150000 100000", 2), ("50000 100000", 1), ("max 100000", None), ("", None)],
)
def test_a_containers_quota_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int | None
) -> None:
    """More threads than cores that may be used make everything slower."""
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert usable_cores(file) == (cores or 8)
    assert usable_cores(tmp_path / "missing") == 8


@pytest.mark.parametrize(("wanted", "threads"), [(None, 3), (2, 2), (8, 3)])
def test_there_are_no_more_threads_than_cores(
    monkeypatch: pytest.MonkeyPatch, wanted: int | None, threads: int
) -> None:
    """Whatever the operator wishes: they would only wait for each other."""
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(sessions, "usable_cores", lambda: 3)
    assert session_settings(wanted, spinning=False).intra_op_num_threads == threads


def test_threads_spin_within_a_call_only() -> None:
    """And not for long, so that others get the core; unless the operator wants all of it."""
    pytest.importorskip("onnxruntime")

    def entry(name: str, *, spinning: bool) -> str:
        value: str = session_settings(2, spinning=spinning).get_session_config_entry(name)
        return value

    assert entry("session.force_spinning_stop", spinning=False) == "1"
    assert 0 < int(entry("session.intra_op.spin_duration_us", spinning=False)) < 100
    assert entry("session.intra_op.allow_spinning", spinning=True) == "1"
    with pytest.raises(RuntimeError):
        entry("session.force_spinning_stop", spinning=True)
