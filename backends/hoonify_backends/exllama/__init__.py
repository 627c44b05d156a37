"""The ExLlama backends: quantized models on NVIDIA GPUs, by ExLlamaV2 (EXL2, GPTQ) or ExLlamaV3 (EXL3).

They share their worker; ``v2`` and ``v3`` hold what differs. The router's processes import this module, so it
is light; the engines and their libraries are imported in the worker only.
"""

from __future__ import annotations

from pathlib import Path

from hoonify_backends.exllama.availability import check_v2, check_v3
from hoonify_backends.exllama.memory import estimate
from hoonify_backends.exllama.options import ExllamaOptions
from hoonify_backends.generation.parameters import PARAMETERS, TASKS
from hoonify_router.api import Backend, EngineEnvironment, WorkerBackend, hookimpl

_LOCKS = Path(__file__).parent / "requirements"
_V2 = EngineEnvironment("exllamav2", "cuda", (_LOCKS / "v2-cuda.txt",))
_V3 = EngineEnvironment("exllamav3", "cuda", (_LOCKS / "v3-cuda.txt",))


@hookimpl
def hoonify_register_backends() -> list[Backend]:
    """Register the backends named ``exllamav2`` and ``exllamav3``."""
    return [
        WorkerBackend(
            name="exllamav2",
            summary="EXL2, GPTQ and FP16 models on NVIDIA GPUs, by ExLlamaV2.",
            options=ExllamaOptions,
            engine="hoonify_backends.exllama.v2.engine:ExLlamaV2Engine",
            requires=("exllamav2", "torch", "numpy", "tokenizers", "jinja2"),
            extra="exllamav2",
            check=check_v2,
            estimate=estimate,
            parameters=PARAMETERS,
            tasks=TASKS,
            environments=(_V2,),
        ),
        WorkerBackend(
            name="exllamav3",
            summary="EXL3 and FP16 models on NVIDIA GPUs, by ExLlamaV3.",
            options=ExllamaOptions,
            engine="hoonify_backends.exllama.v3.engine:ExLlamaV3Engine",
            requires=("exllamav3", "torch", "numpy", "tokenizers", "jinja2"),
            extra="exllamav3",
            check=check_v3,
            estimate=estimate,
            parameters=PARAMETERS,
            tasks=TASKS,
            environments=(_V3,),
        ),
    ]


__all__ = ["ExllamaOptions", "hoonify_register_backends"]
