"""The ONNX Runtime backends: models exported to ONNX, on the CPU or an NVIDIA GPU.

A chat model is a folder as onnxruntime-genai's model builder writes it, a model for embeddings one as
sentence-transformers or Optimum exports it. The router's processes import this module, so it is light; the
engines and their libraries are imported in the worker only.
"""

from __future__ import annotations

from hoonify_backends.generation.parameters import PARAMETERS, TASKS
from hoonify_backends.onnxruntime.availability import check
from hoonify_backends.onnxruntime.embedding.availability import check as check_embeddings
from hoonify_backends.onnxruntime.embedding.options import OnnxEmbeddingOptions
from hoonify_backends.onnxruntime.environments import ENVIRONMENTS, GENAI_ENVIRONMENTS, accelerator
from hoonify_backends.onnxruntime.genai.availability import check as check_genai
from hoonify_backends.onnxruntime.genai.options import KNOWN, GenaiOptions
from hoonify_backends.onnxruntime.memory import estimate
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_router.api import Backend, WorkerBackend, hookimpl


@hookimpl
def hoonify_register_backends() -> list[Backend]:
    """Register the backends named ``onnxruntime``, ``onnxruntime_genai`` and ``onnxruntime_embeddings``."""
    return [
        WorkerBackend(
            name="onnxruntime",
            summary="ONNX models on the CPU or an NVIDIA GPU, with continuous batching.",
            options=OnnxOptions,
            engine="hoonify_backends.onnxruntime.engine:OnnxEngine",
            requires=("onnxruntime", "numpy", "tokenizers", "jinja2"),
            extra="onnx",
            check=check,
            estimate=estimate,
            parameters=PARAMETERS,
            tasks=TASKS,
            environments=ENVIRONMENTS,
            accelerator=accelerator,
        ),
        WorkerBackend(
            name="onnxruntime_genai",
            summary="ONNX models by onnxruntime-genai's own engine, for paged attention on NVIDIA GPUs.",
            options=GenaiOptions,
            engine="hoonify_backends.onnxruntime.genai.engine:GenaiEngine",
            requires=("onnxruntime_genai", "numpy", "tokenizers", "jinja2"),
            extra="export",
            check=check_genai,
            parameters=KNOWN | {"seed"},
            tasks=TASKS,
            environments=GENAI_ENVIRONMENTS,
            accelerator=accelerator,
        ),
        WorkerBackend(
            name="onnxruntime_embeddings",
            summary="Embedding models in ONNX form on the CPU or an NVIDIA GPU, with dynamic batching.",
            options=OnnxEmbeddingOptions,
            engine="hoonify_backends.onnxruntime.embedding.engine:OnnxEmbeddingEngine",
            requires=("onnxruntime", "numpy", "tokenizers"),
            extra="onnx",
            check=check_embeddings,
            parameters=frozenset({"dimensions"}),
            tasks=frozenset({"embedding"}),
            environments=ENVIRONMENTS,
            accelerator=accelerator,
        ),
    ]


__all__ = ["GenaiOptions", "OnnxEmbeddingOptions", "OnnxOptions", "hoonify_register_backends"]
