"""The environments of ONNX Runtime: two flavours of one module, which must never be in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hoonify_router.api import Accelerator, EngineEnvironment

_LOCKS = Path(__file__).parent / "requirements"

ENVIRONMENTS = (
    EngineEnvironment("onnxruntime", "cpu", (_LOCKS / "cpu.txt",)),
    EngineEnvironment("onnxruntime", "cuda", (_LOCKS / "cuda.txt",)),
)

GENAI_ENVIRONMENTS = (
    EngineEnvironment("onnxruntime_genai", "cpu", (_LOCKS / "genai-cpu.txt",)),
    EngineEnvironment("onnxruntime_genai", "cuda", (_LOCKS / "genai-cuda.txt",)),
)


def accelerator(options: Any) -> Accelerator | None:
    """Return what a home computes on, by its ``provider``; the flavour for GPUs runs on the CPU too."""
    if options.provider == "auto":
        return None
    return "cpu" if options.provider == "cpu" else "cuda"
