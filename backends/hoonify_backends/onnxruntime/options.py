"""What ``options:`` of an ``onnxruntime`` home may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from hoonify_backends.generation.defaults import SamplingDefaults
from hoonify_backends.generation.parameters import ToolParser

DEFAULT_SLOTS = 16
"""Requests that run at once, where the memory has room for them and nobody says how many."""

Provider = Literal["auto", "cpu", "cuda", "tensorrt"]


def _says(text: str, **limits: Any) -> Meta:
    return Meta(description=text, **limits)


class OnnxOptions(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """Options of one ONNX Runtime home."""

    model: Annotated[
        str, _says("Folder of the exported model, relative to this file.", min_length=1)
    ]
    provider: Annotated[
        Provider,
        _says(
            "Where to run. auto: an NVIDIA GPU if there is one, else the CPU; cuda and tensorrt fail"
            " instead of falling back."
        ),
    ] = "auto"
    device_id: Annotated[int, _says("Which NVIDIA GPU, as nvidia-smi counts.", ge=0)] = 0
    slots: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        _says(
            "Requests that run at once. Default: as many as kv_memory_gib has room for, at most 16."
        ),
    ] = None
    max_length: Annotated[
        Annotated[int, Meta(ge=8)] | None,
        _says("Tokens of prompt and answer together; default: all that the model can."),
    ] = None
    kv_memory_gib: Annotated[
        float,
        _says(
            "Memory for the keys and values of all slots; the home refuses to start over it.", gt=0
        ),
    ] = 4.0
    gpu_memory_gib: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        _says(
            "Limit of what ONNX Runtime takes of a GPU for weights and intermediate results; keys and values"
            " and CUDA's own libraries come on top. Default: none."
        ),
    ] = None
    cuda_graphs: Annotated[
        bool,
        _says(
            "Record a step of the answers once for each number of rows (1, 2, 4 and so on) and replay it:"
            " less work between the steps of small models. For provider cuda, and models all of whose"
            " operators run there."
        ),
    ] = False
    threads: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        _says(
            "CPU threads of the model, no more than the cores that this process may use; default: all of"
            " these. 2 are enough for models of a few MB, which make up to three answers with one."
        ),
    ] = None
    spinning: Annotated[
        bool,
        _says(
            "Let threads spin between the model's steps, too, not only within them: burns the cores."
        ),
    ] = False
    prefill_chunk: Annotated[
        int,
        _says(
            "Prompt tokens that are read between two steps of the running answers: fewer keep streams"
            " smoother, more read prompts faster.",
            ge=16,
        ),
    ] = 256
    max_waiting: Annotated[
        int,
        _says(
            "Answers that may wait for a slot (n of them are n); more are refused with 429.", ge=0
        ),
    ] = 64
    reuse_prefixes: Annotated[
        bool,
        _says(
            "Keep the keys and values of finished requests, so that the next turn of a conversation"
            " starts where the last one ended."
        ),
    ] = True
    tool_parser: Annotated[
        ToolParser | None,
        _says(
            "How this model writes calls of functions, so that they are told from its text. Default: it"
            " calls only where the client forces it to."
        ),
    ] = None
    sampling: Annotated[
        SamplingDefaults,
        _says("Sampling where the client says nothing; default: the model's own."),
    ] = field(default_factory=SamplingDefaults)
    provider_options: Annotated[
        dict[str, str | int | float | bool],
        _says("Passed to the CUDA or TensorRT execution provider as they are."),
    ] = field(default_factory=dict)
