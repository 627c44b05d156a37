"""Copies by addresses, with a graph of our own making."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hoonify_backends.onnxruntime.row_copier import RowCopier, copying_graph


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("count", [1, 3, 200])
def test_each_stretch_is_copied(dtype: Any, count: int) -> None:
    """All of it, nothing beside it, and again with other addresses."""
    copier = RowCopier(count, dtype, ("cpu", 0))
    rows = np.arange(count * 4 * 6).reshape(count, 4, 6).astype(dtype)
    expected = rows.copy()
    for source, target in ((0, 2), (2, 3)):
        expected[:, target] = expected[:, source]
        begins = [array.ctypes.data for array in rows]
        size = rows[0, 0].nbytes
        copier.copy(
            [begin + source * size for begin in begins],
            [begin + target * size for begin in begins],
            6,
        )
        assert (rows == expected).all()


def test_the_graph_is_what_the_library_would_make() -> None:
    """Where it is installed to compare with."""
    onnx = pytest.importorskip("onnx", reason="onnx is part of the extra for exporting")
    model = onnx.load_from_string(copying_graph(3, 10))
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Identity"] * 3
