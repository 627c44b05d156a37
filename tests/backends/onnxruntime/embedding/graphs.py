"""Writes ONNX files: as much of the format as the tests need, without a library for it.

Field numbers are those of ``onnx.proto``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DTYPES = {"float32": 1, "int32": 6, "int64": 7, "float16": 10}
_OPSET = 20


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _integer(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _bytes(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _attribute(name: str, value: float | int | Sequence[int]) -> bytes:
    head = _bytes(1, name)
    if isinstance(value, float):
        return head + _varint(2 << 3 | 5) + struct.pack("<f", value) + _integer(20, 1)
    if isinstance(value, int):
        return head + _integer(3, value) + _integer(20, 2)
    return head + b"".join(_integer(8, item) for item in value) + _integer(20, 7)


def _value(name: str, dtype: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(
        _bytes(1, _integer(1, size) if isinstance(size, int) else _bytes(2, size)) for size in shape
    )
    return _bytes(1, name) + _bytes(2, _bytes(1, _integer(1, _DTYPES[dtype]) + _bytes(2, dims)))


class GraphWriter:
    """Collects nodes and weights; ``finish`` returns the file."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._names = 0

    def constant(self, array: NDArray[Any] | Sequence[int] | float) -> str:
        """Add a weight and return its name; bare integers are int64, a bare number float32."""
        if not isinstance(array, np.ndarray):
            array = np.array(array, np.float32 if isinstance(array, float) else np.int64)
        name = self._name()
        head = b"".join(_integer(1, size) for size in array.shape)
        head += _integer(2, _DTYPES[array.dtype.name]) + _bytes(8, name)
        self._parts.append(_bytes(5, head + _bytes(9, np.ascontiguousarray(array).tobytes())))
        return name

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        output = output or self._name()
        body = b"".join(_bytes(1, name) for name in inputs) + _bytes(2, output) + _bytes(4, kind)
        body += b"".join(_bytes(5, _attribute(name, value)) for name, value in attributes.items())
        self._parts.append(_bytes(1, body))
        return output

    def finish(
        self,
        inputs: dict[str, tuple[str, Sequence[int | str]]],
        outputs: dict[str, tuple[str, Sequence[int | str]]],
    ) -> bytes:
        """Return the file; ``inputs`` and ``outputs`` have dtype and shape by name."""
        graph = b"".join(self._parts) + _bytes(2, "graph")
        graph += b"".join(_bytes(11, _value(name, *what)) for name, what in inputs.items())
        graph += b"".join(_bytes(12, _value(name, *what)) for name, what in outputs.items())
        return _integer(1, 10) + _bytes(7, graph) + _bytes(8, _integer(2, _OPSET))

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"
