"""onnxruntime-genai's engine keeps every promise, on the CPU with the model that ships with the router."""

from __future__ import annotations

from typing import ClassVar

import pytest

from hoonify_router.testing import BackendConformance

pytest.importorskip("onnxruntime_genai", reason="onnxruntime-genai is not installed")
pytestmark = pytest.mark.slow


class TestGenai(BackendConformance):
    """Static batches: what comes later waits until the batch has ended."""

    backend = "onnxruntime_genai"
    options: ClassVar = {
        "model": "models/tiny-chat/onnx",
        "provider": "cpu",
        "threads": 1,
        "slots": 8,
    }
