"""The SGLang backend: attaches to SGLang servers that already run.

The options describe a server as SGLang's own flags do; a version that launches servers itself will read
them. With ``url:`` only ``model`` matters.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hoonify_backends.openai import wrong_address
from hoonify_router.api import Backend, HomeConfig, ServerBackend, Unavailable, hookimpl

__all__ = ["PARAMETERS", "SGLangOptions", "hoonify_register_backends"]

PARAMETERS = frozenset(
    {
        "chat_template_kwargs",
        "dimensions",
        "echo",
        "frequency_penalty",
        "ignore_eos",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "min_p",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "repetition_penalty",
        "response_format",
        "seed",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
    }
)
"""What SGLang's endpoints honour; any other field they would drop without a word."""

_Count = Annotated[int, Meta(ge=1)]


def _says(text: str) -> Meta:
    return Meta(description=text)


class SGLangOptions(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One SGLang server; each option is the flag of the same meaning."""

    model: Annotated[
        str | None, _says("Repository or folder of the weights, and the name it is served under.")
    ] = None
    tensor_parallel: Annotated[_Count, _says("GPUs that share each layer (--tp-size).")] = 1
    pipeline_parallel: Annotated[_Count, _says("Groups of layers in a row (--pp-size).")] = 1
    data_parallel: Annotated[_Count, _says("Whole replicas in one server (--dp-size).")] = 1
    expert_parallel: Annotated[_Count, _says("GPUs that share the experts (--ep-size).")] = 1
    context_length: Annotated[_Count | None, _says("Tokens of context (--context-length).")] = None
    memory_fraction: Annotated[
        Annotated[float, Meta(gt=0, lt=1)] | None,
        _says("Share of a GPU's memory for weights and KV cache (--mem-fraction-static)."),
    ] = None
    quantization: Annotated[
        str | None, _says("How unquantized weights are quantized at load (--quantization).")
    ] = None
    kv_cache_dtype: Annotated[
        Literal["auto", "bf16", "fp8_e4m3", "fp8_e5m2"], _says("Form of the KV cache.")
    ] = "auto"
    chunked_prefill: Annotated[
        Annotated[int, Meta(ge=-1)] | None,
        _says("Tokens per piece of a long prompt, -1 for none (--chunked-prefill-size)."),
    ] = None
    max_running: Annotated[_Count | None, _says("Requests at once (--max-running-requests).")] = (
        None
    )
    max_queued: Annotated[
        _Count | None, _says("Requests that may wait (--max-queued-requests).")
    ] = None
    reasoning_parser: Annotated[
        str | None, _says("Tells thoughts from answers, such as deepseek-r1 (--reasoning-parser).")
    ] = None
    tool_call_parser: Annotated[
        str | None, _says("Reads tool calls, such as qwen or pythonic (--tool-call-parser).")
    ] = None


def check(options: Struct, home: HomeConfig, base_dir: Path) -> Unavailable | None:
    """Return why the home cannot be used; a server that runs needs nothing here."""
    if home.url is not None:
        return wrong_address(home.url)
    # To install SGLang would not help before there is somebody to launch it.
    hint = "start an SGLang server yourself and give its address: `url: http://HOST:30000`"
    if home.python is None and importlib.util.find_spec("sglang") is None:
        return Unavailable("The sglang backend is not installed here.", hint)
    return Unavailable("This version attaches to running SGLang servers only.", hint)


@hookimpl
def hoonify_register_backends() -> list[Backend]:
    """Register the backend named ``sglang``."""
    return [
        ServerBackend(
            name="sglang",
            summary="SGLang servers that already run, named by their URL.",
            options=SGLangOptions,
            parameters=PARAMETERS,
            requires=("sglang",),
            extra="sglang",
            check=check,
            tasks=frozenset({"chat", "completion", "embedding"}),
        )
    ]
