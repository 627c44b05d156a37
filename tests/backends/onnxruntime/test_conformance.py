"""The ONNX Runtime backend keeps every promise, with the model that ships with the router."""

from __future__ import annotations

from typing import ClassVar

import pytest

from hoonify_router.testing import BackendConformance

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
pytestmark = pytest.mark.slow


class TestOnnx(BackendConformance):
    """On the CPU."""

    backend = "onnxruntime"
    options: ClassVar = {
        "model": "models/tiny-chat/onnx",
        "provider": "cpu",
        "threads": 1,
        "slots": 8,
    }
