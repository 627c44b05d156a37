"""What a home on a GPU takes of its memory, told from its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hoonify_backends.onnxruntime import memory
from hoonify_backends.onnxruntime.memory import estimate
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_router.api import HomeConfig

HOME = HomeConfig("onnxruntime")
GIB = 1024**3
ROW = (
    2 * 5 * 2 * 64 * 2
)  # bytes of a token of the shipped model: layers, heads, their size, half precision


@pytest.mark.parametrize(
    ("wishes", "tokens"),
    [
        ({}, 16 * 1024),  # all slots have room
        ({"slots": 3}, 3 * 1024),
        ({"slots": 2, "max_length": 512}, 2 * 512),
        ({"kv_memory_gib": 5.5 * ROW * 1024 / GIB}, 5 * 1024),
    ],
)
def test_weights_and_slots_are_counted(
    model_path: Path, wishes: dict[str, Any], tokens: int
) -> None:
    """On the GPU that the home is for, with some room for CUDA's own."""
    options = OnnxOptions(str(model_path), provider="cuda", device_id=1, **wishes)
    weights = sum(file.stat().st_size for file in model_path.glob("model.onnx*"))
    assert estimate(options, HOME, Path()) == {1: weights + tokens * ROW + GIB}


def test_what_runs_on_the_cpu_takes_nothing(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is not there cannot be told."""
    monkeypatch.setattr(memory, "has_nvidia_device", lambda: False)
    assert estimate(OnnxOptions(str(model_path)), HOME, Path()) is None
    assert estimate(OnnxOptions(str(model_path), provider="cpu"), HOME, Path()) is None
    assert estimate(OnnxOptions("nowhere", provider="cuda"), HOME, Path()) is None
