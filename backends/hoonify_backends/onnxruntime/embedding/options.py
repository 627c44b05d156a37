"""What ``options:`` of an ``onnxruntime_embeddings`` home may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from hoonify_backends.onnxruntime.options import Provider

Pooling = Literal["mean", "cls", "last"]


def _says(text: str, **limits: Any) -> Meta:
    return Meta(description=text, **limits)


class OnnxEmbeddingOptions(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """Options of one home for embeddings on ONNX Runtime."""

    model: Annotated[
        str,
        _says(
            "Folder of the model as sentence-transformers or Optimum exports it, relative to this file.",
            min_length=1,
        ),
    ]
    file: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        _says(
            "Which .onnx file in the folder; default: onnx/model.onnx, model.onnx, or the only one."
        ),
    ] = None
    provider: Annotated[
        Provider,
        _says(
            "Where to run. auto: an NVIDIA GPU if there is one, else the CPU; cuda and tensorrt fail"
            " instead of falling back."
        ),
    ] = "auto"
    device_id: Annotated[int, _says("Which NVIDIA GPU, as nvidia-smi counts.", ge=0)] = 0
    threads: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        _says(
            "CPU threads of the model, no more than the cores that this process may use; default: all of"
            " these."
        ),
    ] = None
    spinning: Annotated[
        bool,
        _says(
            "Let threads spin between the model's calls, too, not only within them: burns the cores."
        ),
    ] = False
    pooling: Annotated[
        Pooling | None,
        _says(
            "How the vectors of an input's tokens become one: their mean, the first (cls) or the last."
            " Default: as the model's own files say, else mean."
        ),
    ] = None
    normalize: Annotated[
        bool | None,
        _says(
            "Scale every vector to length 1. Default: as the model's modules.json says, else true."
        ),
    ] = None
    max_length: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        _says(
            "Tokens that one input may have, special ones included; longer ones are refused, never cut."
            " Default: as the model's own files say."
        ),
    ] = None
    batch_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        _says(
            "Tokens that one call of the model reads, padding included; a longer input has a call of its"
            " own. More is faster on a GPU, hardly on a CPU, and makes others wait longer. Default: 512"
            " on the CPU, 16384 on a GPU."
        ),
    ] = None
    max_waiting: Annotated[
        int,
        _says(
            "Requests that may wait while others are in the model; more are refused with 429.",
            ge=0,
        ),
    ] = 64
    matryoshka: Annotated[
        bool | list[Annotated[int, Meta(ge=1)]],
        _says(
            "Whether the model was trained so that its vectors may be cut: true, or the sizes that it may"
            " be cut to. Only then can clients ask for `dimensions`."
        ),
    ] = False
    prefix: Annotated[
        str | None,
        _says(
            "Text that is put before each input, for models that want one, such as `query: `. Default: the"
            " model's own default prompt, if it has one. Inputs that are tokens already get none."
        ),
    ] = None
    provider_options: Annotated[
        dict[str, str | int | float | bool],
        _says("Passed to the CUDA or TensorRT execution provider as they are."),
    ] = field(default_factory=dict)
