"""Copies within a device's memory: a graph that does nothing but return its inputs elsewhere.

ONNX Runtime's Python interface copies whole tensors only, and a row is a part of one. So a session of its own
is bound to the addresses of both rows. Its graph is written down here, byte by byte, because the library that
makes graphs is no dependency.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_ELEMENTS = {np.dtype(np.float32): 1, np.dtype(np.float16): 10}  # numbers of types in ONNX
_IR_VERSION, _OPSET = 8, 17


class RowCopier:
    """Copies stretches of memory, all of one size, with one call.

    Args:
        count: How many stretches.
        dtype: Type of what is in them.
        device: ONNX Runtime's name of the kind of device, and which one.
    """

    def __init__(self, count: int, dtype: type[np.floating[Any]], device: tuple[str, int]) -> None:
        import onnxruntime

        kind, number = device
        provider: Any = "CPUExecutionProvider"
        if kind == "cuda":
            provider = ("CUDAExecutionProvider", {"device_id": number})
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        graph = copying_graph(count, _ELEMENTS[np.dtype(dtype)])
        self._session = onnxruntime.InferenceSession(graph, settings, providers=[provider])
        self._count = count
        self._dtype = dtype
        self._device = device

    def copy(self, sources: list[int], targets: list[int], size: int) -> None:
        """Copy ``size`` elements from each source's address to its target's, and wait for it."""
        binding = self._session.io_binding()
        for place in range(self._count):
            where = (*self._device, self._dtype, (size,))
            binding.bind_input(f"x{place}", *where, sources[place])
            binding.bind_output(f"y{place}", *where, targets[place])
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()


def copying_graph(count: int, element: int) -> bytes:
    """Return an ONNX model with inputs ``x0``, ``x1`` … and the same as outputs ``y0``, ``y1`` …

    Args:
        count: How many of them.
        element: ONNX's number for their type.
    """
    axis = _field(1, _field(2, b"n"))  # one axis of any length
    kind = _field(1, _number(1, element) + _field(2, axis))
    nodes, inputs, outputs = b"", b"", b""
    for place in range(count):
        x, y = f"x{place}".encode(), f"y{place}".encode()
        nodes += _field(1, _field(1, x) + _field(2, y) + _field(4, b"Identity"))
        inputs += _field(11, _field(1, x) + _field(2, kind))
        outputs += _field(12, _field(1, y) + _field(2, kind))
    graph = nodes + _field(2, b"copy") + inputs + outputs
    opset = _field(1, b"") + _number(2, _OPSET)
    return _number(1, _IR_VERSION) + _field(7, graph) + _field(8, opset)


def _field(number: int, content: bytes) -> bytes:
    """Return a field of protocol buffers that holds bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    """Return a field of protocol buffers that holds a number."""
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
