"""What ``options:`` of an ``onnxruntime_genai`` home may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from hoonify_backends.generation.defaults import SamplingDefaults
from hoonify_backends.generation.parameters import PARAMETERS

UNKNOWN = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "min_p",
        "parallel_tool_calls",
        "presence_penalty",
        "response_format",
        "seed",
        "tool_choice",
        "tools",
        "top_logprobs",
    }
)
"""What the library's engine cannot honour: it shows nobody the scores. A seed it knows on GPUs alone."""

KNOWN = PARAMETERS - UNKNOWN


def _says(text: str, **limits: Any) -> Meta:
    return Meta(description=text, **limits)


class GenaiOptions(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """Options of one onnxruntime-genai home."""

    model: Annotated[
        str, _says("Folder of the exported model, relative to this file.", min_length=1)
    ]
    provider: Annotated[
        Literal["auto", "cpu", "cuda"],
        _says(
            "Where to run. auto: as the model was exported, if there is a GPU for that, else the CPU; cuda"
            " fails instead of falling back."
        ),
    ] = "auto"
    device_id: Annotated[int, _says("Which NVIDIA GPU, as nvidia-smi counts.", ge=0)] = 0
    slots: Annotated[
        int,
        _says(
            "Requests that run at once. On the CPU they start together: who comes later waits until they"
            " have ended.",
            ge=1,
            le=1024,
        ),
    ] = 16
    max_length: Annotated[
        Annotated[int, Meta(ge=8)] | None,
        _says("Tokens of prompt and answer together; default: all that the model can."),
    ] = None
    kv_memory_fraction: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        _says(
            "Share of the GPU's free memory for keys and values, with a model exported with paged attention;"
            " default: as exported."
        ),
    ] = None
    threads: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        _says("CPU threads of the model; default: all cores this process may use."),
    ] = None
    max_waiting: Annotated[
        int,
        _says(
            "Answers that may wait for a slot (n of them are n); more are refused with 429.", ge=0
        ),
    ] = 64
    sampling: Annotated[
        SamplingDefaults,
        _says("Sampling where the client says nothing; default: the model's own."),
    ] = field(default_factory=SamplingDefaults)
