"""Sessions: as many threads as there is room for."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoonify_backends.onnxruntime.sessions import usable_cores


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
