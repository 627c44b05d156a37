"""The ExLlamaV2 backend: known by name and options so far, it cannot run a model yet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hoonify_router.api import Backend, HomeConfig, Unavailable, WorkerBackend, hookimpl

__all__ = ["ExLlamaV2Options", "hoonify_register_backends"]

_Count = Annotated[int, Meta(ge=1)]


def _says(text: str) -> Meta:
    return Meta(description=text)


class ExLlamaV2Options(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One model in EXL2 or GPTQ form."""

    model: Annotated[str, _says("Folder with config.json, tokenizer.json and the weights.")]
    context_length: Annotated[
        _Count | None, _says("Tokens of one conversation; default: what the model was made for.")
    ] = None
    cache: Annotated[
        Literal["fp16", "q8", "q6", "q4"], _says("Form of keys and values in the cache.")
    ] = "fp16"
    cache_tokens: Annotated[
        Annotated[int, Meta(ge=256, multiple_of=256)] | None,
        _says("Tokens of all conversations together, a multiple of 256; default: one context."),
    ] = None
    gpu_split: Annotated[
        list[Annotated[float, Meta(gt=0)]] | None,
        _says("GB of weights and cache on each GPU; default: filled one after the other."),
    ] = None
    tensor_parallel: Annotated[bool, _says("Share each layer among the GPUs.")] = False
    slots: Annotated[_Count, _says("Requests at once; more than one needs flash-attn.")] = 16
    prefill_chunk: Annotated[
        Annotated[int, Meta(ge=256)], _says("Tokens per piece of a long prompt.")
    ] = 2048
    draft_model: Annotated[
        str | None, _says("Folder of a small model of the same family that guesses ahead.")
    ] = None


def check(options: Struct, home: HomeConfig, base_dir: Path) -> Unavailable | None:
    """Return that no home of this kind can run."""
    return Unavailable(
        "The exllamav2 backend cannot run models in this version.",
        "it only knows the options so far; re-home the model, for example to `backend: openai`"
        " with the `url:` of a server that runs it",
    )


@hookimpl
def hoonify_register_backends() -> list[Backend]:
    """Register the backend named ``exllamav2``."""
    return [
        WorkerBackend(
            name="exllamav2",
            summary="EXL2 and GPTQ models on NVIDIA GPUs; options only, cannot run models yet.",
            options=ExLlamaV2Options,
            engine="hoonify_backends.exllamav2.engine:ExLlamaV2Engine",
            requires=("exllamav2", "torch", "tokenizers"),
            extra="exllamav2",
            check=check,
        )
    ]
