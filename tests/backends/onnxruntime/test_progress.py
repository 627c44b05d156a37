"""What an operator sees of a session that loads."""

from __future__ import annotations

import pytest

from hoonify_backends.onnxruntime import progress


async def test_memory_is_told_while_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that loads for minutes shows that it does; one that is stuck does not."""
    sizes = iter([100, 100, 250, 240, 300])
    told: list[int] = []
    monkeypatch.setattr(progress, "_resident_mib", lambda: next(sizes))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await progress.report_memory(lambda stage, done, total: told.append(done), 0)
    assert told == [100, 250, 300]
