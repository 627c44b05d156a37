"""What ``options:`` of an ``exllamav2`` or ``exllamav3`` home may say; the two are alike, so that a model can move."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from hoonify_backends.generation.defaults import SamplingDefaults
from hoonify_backends.generation.parameters import ToolParser

CacheForm = Literal["fp16", "q8", "q6", "q4"]

PAGE = 256
"""Tokens of one page of the cache, in both engines."""


def _says(text: str, **limits: Any) -> Meta:
    return Meta(description=text, **limits)


class ExllamaOptions(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """Options of one home."""

    model: Annotated[
        str,
        _says(
            "Folder with config.json, tokenizer.json and the weights, relative to this file.",
            min_length=1,
        ),
    ]
    context_length: Annotated[
        Annotated[int, Meta(ge=8)] | None,
        _says("Tokens of one conversation; default: what the model was made for."),
    ] = None
    cache: Annotated[CacheForm, _says("Form of keys and values in the cache.")] = "fp16"
    cache_tokens: Annotated[
        Annotated[int, Meta(ge=PAGE, multiple_of=PAGE)] | None,
        _says("Tokens of all conversations together, a multiple of 256; default: one context."),
    ] = None
    gpu_split: Annotated[
        list[Annotated[float, Meta(gt=0)]] | None,
        _says("GB of weights and cache on each GPU; default: filled one after the other."),
    ] = None
    tensor_parallel: Annotated[bool, _says("Share each layer among the GPUs.")] = False
    slots: Annotated[
        int,
        _says(
            "Answers at once, as far as the cache has room; ExLlamaV2 needs flash-attn for more than one.",
            ge=1,
            le=256,
        ),
    ] = 16
    prefill_chunk: Annotated[
        int,
        _says(
            "Prompt tokens that are read between two steps of the running answers: fewer keep streams"
            " smoother, more read prompts faster.",
            ge=PAGE,
            multiple_of=PAGE,
        ),
    ] = 2048
    answer_pages: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        _says(
            "Pages of 256 tokens that an answer takes ahead; when they are full, it takes as many again."
            " Default: a slot's share of the cache, at most 8."
        ),
    ] = None
    max_waiting: Annotated[
        int,
        _says(
            "Answers that may wait for a slot (n of them are n); more are refused with 429.", ge=0
        ),
    ] = 64
    chat_template: Annotated[
        str | None,
        _says("File with a Jinja template in place of the model's own, relative to this file."),
    ] = None
    tool_parser: Annotated[
        ToolParser | None,
        _says(
            "How this model writes calls of functions, so that they are told from its text. Default: it"
            " calls only where the client forces it to."
        ),
    ] = None
    images: Annotated[
        int,
        _says(
            "Images that a request may have, where the model sees; 0 leaves what sees them out of memory.",
            ge=0,
            le=256,
        ),
    ] = 8
    image_pixels: Annotated[
        int,
        _says(
            "Pixels of an image; a larger one is made smaller, and the model's makers may have set less."
            " Fewer take fewer tokens and less memory.",
            ge=32 * 32,
            le=50_000_000,
        ),
    ] = 2_000_000
    sampling: Annotated[
        SamplingDefaults,
        _says("Sampling where the client says nothing; default: the model's own."),
    ] = field(default_factory=SamplingDefaults)
