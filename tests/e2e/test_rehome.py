"""A model moves from home to home while it is asked, and nobody notices."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.rehome import run

pytest.importorskip(
    "onnxruntime", reason="one of the homes is tiny-chat, which needs the extra onnx"
)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_answer_suffers_from_moves_and_broken_edits(tmp_path: Path) -> None:
    """The short form of `python -m benchmarks.rehome`: every answer is, to the letter, one home's."""
    told: list[str] = []
    report = await run(tmp_path, moves=10, streams=30, broken=4, say=told.append)
    assert report.clean, "\n".join([*told, *report.lines()])
    assert len(report.moves) == 10
    assert report.broken == 4
    assert report.record.by_home.keys() == {"echo", "onnxruntime"}
