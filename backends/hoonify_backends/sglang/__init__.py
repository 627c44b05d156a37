"""The SGLang backend: launches SGLang servers, or attaches to some that already run."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from hoonify_backends.sglang.availability import check
from hoonify_backends.sglang.command import READY, plan_launch
from hoonify_backends.sglang.explanation import explain
from hoonify_backends.sglang.loads import ABORT, LOADS
from hoonify_backends.sglang.memory import estimate
from hoonify_backends.sglang.options import SGLangOptions
from hoonify_backends.sglang.parameters import PARAMETERS
from hoonify_router.api import Accelerator, Backend, EngineEnvironment, ServerBackend, hookimpl

__all__ = ["PARAMETERS", "SGLangOptions", "hoonify_register_backends"]

_LOCKS = Path(__file__).with_name("requirements")
ENVIRONMENTS = (
    EngineEnvironment("sglang", "cpu", (_LOCKS / "cpu.txt",)),
    EngineEnvironment("sglang", "cuda", (_LOCKS / "cuda.txt",)),
)
"""For a GPU: what PyPI has, which is for CUDA 13 and x86_64. Another driver needs an interpreter of its own."""


def accelerator(options: Struct) -> Accelerator:
    """Return what a home's server computes on."""
    assert isinstance(options, SGLangOptions)
    return options.device


@hookimpl
def hoonify_register_backends() -> list[Backend]:
    """Register the backend named ``sglang``."""
    return [
        ServerBackend(
            name="sglang",
            summary="SGLang servers: launched by the router, or running elsewhere and named by `url:`.",
            options=SGLangOptions,
            parameters=PARAMETERS,
            requires=("sglang",),
            extra="sglang",
            check=check,
            tasks=frozenset({"chat", "completion", "embedding"}),
            environments=ENVIRONMENTS,
            accelerator=accelerator,
            explain=explain,
            estimate=estimate,
            launch=plan_launch,
            lists_models=True,
            load=LOADS,
            abort=ABORT,
            ready_path=READY,
            floors={
                "top_p": 1e-6
            },  # OpenAI's 0, the likeliest token alone, is outside of its range
        )
    ]
