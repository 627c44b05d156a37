"""Memory for keys and values: its size, its budget, its rows."""

from __future__ import annotations

import numpy as np
import pytest

from hoonify_backends.onnxruntime.kv_cache import HostCache, KVLayout
from hoonify_router.errors import ModelUnavailable

NAMES = [("past.0.key", "present.0.key"), ("past.0.value", "present.0.value")]


def layout(length: int = 1024, dtype: type[np.floating] = np.float32) -> KVLayout:  # type: ignore[type-arg]
    return KVLayout(NAMES, heads=2, length=length, head_size=64, dtype=dtype)


class Binding:
    """Notes addresses."""

    def __init__(self) -> None:
        self.inputs: dict[str, tuple[object, ...]] = {}
        self.outputs: dict[str, tuple[object, ...]] = {}

    def bind_input(self, name: str, *where: object) -> None:
        self.inputs[name] = where

    def bind_output(self, name: str, *where: object) -> None:
        self.outputs[name] = where


def test_sizes() -> None:
    """Two arrays of 2 x 1024 x 64 numbers, four or two bytes each."""
    assert layout().row_bytes == 2 * 2 * 1024 * 64 * 4
    assert layout(dtype=np.float16).row_bytes == layout().row_bytes // 2


def test_the_budget_limits_the_slots() -> None:
    """As many rows as fit, sixteen at most; an explicit wish over it is refused."""
    mebi = 1 / 1024
    assert layout().slots(None, 3.5 * mebi) == 3
    assert layout().slots(None, 100) == 16
    assert layout().slots(64, 100) == 64
    with pytest.raises(ModelUnavailable, match="lower slots or max_length"):
        layout().slots(4, 3.5 * mebi)
    with pytest.raises(ModelUnavailable, match="1 x 1024 tokens"):
        layout().slots(None, 0.5 * mebi)


def test_past_and_present_are_the_same_memory() -> None:
    """That is what lets the operator write in place, row by row."""
    cache, binding = HostCache(layout(length=8), 3), Binding()
    cache.bind(binding, 1, 2)
    for past, present in NAMES:
        assert binding.inputs[past] == binding.outputs[present]
    device, number, dtype, shape, _ = binding.inputs["past.0.key"]
    assert (device, number, dtype, shape) == ("cpu", 0, np.float32, (2, 2, 8, 64))


def test_rows_follow_each_other() -> None:
    """A binding of later rows points further on by their size."""
    cache, first, second = HostCache(layout(length=8), 3), Binding(), Binding()
    cache.bind(first, 0, 3)
    cache.bind(second, 2, 1)
    apart = second.inputs["past.0.value"][4] - first.inputs["past.0.value"][4]  # type: ignore[operator]
    assert apart == 2 * (2 * 8 * 64 * 4)


def test_rows_change_places() -> None:
    """As far as they are filled; the rest stays."""
    cache = HostCache(layout(length=8), 2)
    for array in cache._arrays:
        array[0], array[1] = 1, 2
    cache.swap(0, 1, 5)
    for array in cache._arrays:
        assert (array[0, :, :5] == 2).all()
        assert (array[0, :, 5:] == 1).all()
        assert (array[1, :, :5] == 1).all()
        assert (array[1, :, 5:] == 2).all()


def test_a_row_is_copied() -> None:
    """As far as it is filled; the rest of the other stays, and so does all of the one."""
    cache = HostCache(layout(length=8), 2)
    for array in cache._arrays:
        array[0], array[1] = 1, 2
    cache.copy(0, 1, 5)
    for array in cache._arrays:
        assert (array[0] == 1).all()
        assert (array[1, :, :5] == 1).all()
        assert (array[1, :, 5:] == 2).all()
