"""The ONNX Runtime backend: chat models exported to ONNX, on the CPU or an NVIDIA GPU.

A model is a folder as onnxruntime-genai's model builder writes it. The router's processes import this
module, so it is light; the engine and its libraries are imported in the worker only.
"""

from __future__ import annotations

from hoonify_backends.onnxruntime.availability import check
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_router.api import Backend, WorkerBackend, hookimpl


@hookimpl
def hoonify_register_backends() -> list[Backend]:
    """Register the backend named ``onnxruntime``."""
    return [
        WorkerBackend(
            name="onnxruntime",
            summary="ONNX models on the CPU or an NVIDIA GPU, with continuous batching.",
            options=OnnxOptions,
            engine="hoonify_backends.onnxruntime.engine:OnnxEngine",
            requires=("onnxruntime", "numpy", "tokenizers", "jinja2"),
            extra="onnx",
            check=check,
        )
    ]


__all__ = ["OnnxOptions", "hoonify_register_backends"]
