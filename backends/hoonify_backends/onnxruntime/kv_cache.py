"""Memory for attention keys and values: one row per running request, in one array per layer.

``GroupQueryAttention`` writes each row's new keys and values at that row's own place when past and present
are the same memory. So a binding may point at any stretch of rows, and rows of different length share a call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hoonify_backends.onnxruntime.options import DEFAULT_SLOTS
from hoonify_backends.onnxruntime.row_copier import RowCopier
from hoonify_router.errors import ModelUnavailable

_GIB = 1024**3


class KVLayout:
    """Names and shape of a model's keys and values.

    Args:
        names: For each array the graph's input (past) and output (present).
        heads: Heads of keys and values.
        length: Tokens in a row.
        head_size: Numbers per token and head.
        dtype: ``float32`` or ``float16``.
    """

    def __init__(
        self,
        names: Sequence[tuple[str, str]],
        *,
        heads: int,
        length: int,
        head_size: int,
        dtype: type[np.floating[Any]],
    ) -> None:
        self.names = tuple(names)
        self.row_shape = (heads, length, head_size)
        self.dtype = dtype

    @property
    def array_row_bytes(self) -> int:
        """Return the size of one row in one array."""
        return math.prod(self.row_shape) * np.dtype(self.dtype).itemsize

    @property
    def row_bytes(self) -> int:
        """Return the size of one request's keys and values in all layers."""
        return self.array_row_bytes * len(self.names)

    def slots(self, wanted: int | None, budget_gib: float) -> int:
        """Return how many rows to make: what is wanted, or what the budget has room for.

        Raises:
            ModelUnavailable: It is more than the budget.
        """
        budget = int(budget_gib * _GIB)
        slots = wanted if wanted is not None else min(DEFAULT_SLOTS, budget // self.row_bytes)
        if slots < 1 or slots * self.row_bytes > budget:
            slots = max(slots, 1)
            raise ModelUnavailable(
                f"keys and values of {slots} x {self.row_shape[1]} tokens take"
                f" {slots * self.row_bytes / _GIB:.2f} GiB, over kv_memory_gib: {budget_gib:g};"
                " raise it, or lower slots or max_length"
            )
        return slots


class KVCache(Protocol):
    """Keys and values of all rows."""

    can_swap: bool
    can_copy: bool

    def bind(self, binding: Any, first_row: int, rows: int) -> None:
        """Point a binding's past and present at ``rows`` rows from ``first_row`` on."""

    def swap(self, first: int, second: int, length: int) -> None:
        """Exchange the first ``length`` tokens of two rows."""

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens of a row to another."""


class HostCache:
    """In the host's memory; pages that no request has reached take none.

    Args:
        layout: Names and shape.
        slots: Rows.
    """

    can_swap = True
    can_copy = True

    def __init__(self, layout: KVLayout, slots: int) -> None:
        self._layout = layout
        shape = (slots, *layout.row_shape)
        self._arrays: list[NDArray[np.floating[Any]]] = [
            np.zeros(shape, layout.dtype) for _ in layout.names
        ]

    def bind(self, binding: Any, first_row: int, rows: int) -> None:
        """Point a binding's past and present at ``rows`` rows from ``first_row`` on."""
        addresses = [array.ctypes.data for array in self._arrays]
        _bind(binding, self._layout, addresses, ("cpu", 0), range(first_row, first_row + rows))

    def swap(self, first: int, second: int, length: int) -> None:
        """Exchange the first ``length`` tokens of two rows."""
        for array in self._arrays:
            kept = array[first, :, :length].copy()
            array[first, :, :length] = array[second, :, :length]
            array[second, :, :length] = kept

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens of a row to another."""
        for array in self._arrays:
            array[target, :, :length] = array[source, :, :length]


class DeviceCache:
    """In a GPU's memory.

    Rows stay where they are: a GPU computes a row that rides along nearly for free.

    Args:
        layout: Names and shape.
        slots: Rows.
        device: ONNX Runtime's name of the kind of device, and which one.
    """

    can_swap = False
    can_copy = True

    def __init__(self, layout: KVLayout, slots: int, device: tuple[str, int]) -> None:
        from onnxruntime import OrtValue

        self._layout = layout
        self._device = device
        # Zeros, not whatever was there: a kernel may read past a row's end and multiply it by nothing.
        shape = (slots, *layout.row_shape)
        self._values = [
            OrtValue.ortvalue_from_numpy(np.zeros(shape, layout.dtype), *device)
            for _ in layout.names
        ]
        self._copier = RowCopier(len(layout.names), layout.dtype, device)

    def bind(self, binding: Any, first_row: int, rows: int) -> None:
        """Point a binding's past and present at ``rows`` rows from ``first_row`` on."""
        addresses = [value.data_ptr() for value in self._values]
        _bind(binding, self._layout, addresses, self._device, range(first_row, first_row + rows))

    def swap(self, first: int, second: int, length: int) -> None:
        """Never called."""
        raise NotImplementedError("rows in a GPU's memory stay where they are")

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy all of a row to another: its first tokens lie apart, head by head."""
        size = self._layout.array_row_bytes
        begins = [value.data_ptr() for value in self._values]
        self._copier.copy(
            [begin + source * size for begin in begins],
            [begin + target * size for begin in begins],
            math.prod(self._layout.row_shape),
        )


def _bind(
    binding: Any,
    layout: KVLayout,
    addresses: Sequence[int],
    device: tuple[str, int],
    rows: range,
) -> None:
    shape = (len(rows), *layout.row_shape)
    offset = rows.start * layout.array_row_bytes
    for (past, present), address in zip(layout.names, addresses, strict=True):
        where = (*device, layout.dtype, shape, address + offset)
        binding.bind_input(past, *where)
        binding.bind_output(present, *where)
