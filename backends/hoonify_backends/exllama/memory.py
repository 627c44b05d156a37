"""What a home takes of its GPUs' memory, by the sizes of its model; an estimate, to share GPUs by."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from hoonify_backends.exllama.checkpoint import Checkpoint, read_checkpoint
from hoonify_backends.exllama.limits import Limits, read_limits
from hoonify_backends.exllama.options import ExllamaOptions
from hoonify_backends.generation.folder import FolderProblem
from hoonify_router.api import HomeConfig

_GIB = 1024**3
_CUDA = _GIB  # on each GPU: the context, libraries' work space, kernels
_BITS = {
    "fp16": 16.0,
    "q8": 8.5,
    "q6": 6.5,
    "q4": 4.5,
}  # with a scale of 16 bits for each 32 numbers
_LARGEST_UNPACKED = 512 * 1024**2  # numbers of a matrix that ExLlamaV2 unpacks at once


def estimate(options: Struct, home: HomeConfig, base_dir: Path) -> int | Mapping[int, int] | None:
    """Return the bytes that a home takes on each of its GPUs; see ``WorkerBackend.estimate``.

    ``None`` where several GPUs are there and neither the home nor its options say which it takes: the engine fills
    one after the other then, and how far depends on them.
    """
    assert isinstance(options, ExllamaOptions)
    gpus = home.gpu or _all_gpus()
    checkpoint = limits = None
    try:
        checkpoint = read_checkpoint(base_dir / options.model)
        limits = read_limits(options, checkpoint)
    except FolderProblem:
        if options.gpu_split is None:
            return None
    if options.gpu_split is not None:
        split = [int(size * _GIB) for size in options.gpu_split]
        if checkpoint is not None:  # what sees is not in the split
            first = next((place for place, size in enumerate(split) if size), 0)
            split[first] += seeing_bytes(options, checkpoint)
        return dict(zip(gpus or range(len(split)), split, strict=False))
    assert checkpoint is not None
    assert limits is not None
    if not home.gpu and len(gpus) > 1:
        return None
    count = max(1, len(gpus))
    return (
        _CUDA
        + (
            checkpoint.weights_bytes
            - checkpoint.tower_bytes
            + cache_bytes(options, checkpoint, limits)
        )
        // count
        + working_bytes(options, checkpoint)
        + seeing_bytes(options, checkpoint)  # on one of them, and nobody knows which
    )


def cache_bytes(options: ExllamaOptions, checkpoint: Checkpoint, limits: Limits) -> int:
    """Return the size of the cache: layers, heads, their size, and bits of each number."""
    text = checkpoint.text
    layers, numbers = _cached_layers(text), _numbers_of_a_token(text)
    size = layers * numbers * limits.cache_tokens * _BITS[options.cache] / 8
    if options.cache != "fp16":  # one layer is unpacked at a time
        size += numbers * limits.cache_tokens * 2
    return int(size)


def working_bytes(options: ExllamaOptions, checkpoint: Checkpoint) -> int:
    """Return what a step takes: a chunk of a prompt between the layers, and a matrix that is unpacked."""
    text = checkpoint.text
    hidden = _number(text, "hidden_size", "d_model", "n_embd") or 4096
    inner = _number(text, "intermediate_size", "n_inner") or 4 * hidden
    size = options.prefill_chunk * (4 * hidden + 3 * inner) * 2
    if checkpoint.form in ("exl2", "gptq"):
        vocabulary = _number(text, "vocab_size") or 0
        size += 2 * min(_LARGEST_UNPACKED, hidden * max(inner, vocabulary))
    return size


def seeing_bytes(options: ExllamaOptions, checkpoint: Checkpoint) -> int:
    """Return what the part that sees takes: its weights, and the largest image between its layers."""
    if not (options.images and checkpoint.tower_bytes):
        return 0
    vision = checkpoint.config["vision_config"]
    hidden = _number(vision, "hidden_size", "embed_dim") or 1280
    inner = _number(vision, "intermediate_size") or 4 * hidden
    patches = options.image_pixels // (_number(vision, "patch_size") or 14) ** 2
    return checkpoint.tower_bytes + patches * (6 * hidden + 2 * inner) * 2


def _cached_layers(text: Mapping[str, Any]) -> int:
    """Return how many layers have keys and values for every token; those of linear attention have not."""
    kinds = text.get("layer_types")
    if isinstance(kinds, list):
        return sum("linear" not in str(kind) for kind in kinds)
    return _number(text, "num_hidden_layers", "n_layers", "n_layer") or 0


def _numbers_of_a_token(text: Mapping[str, Any]) -> int:
    """Return how many numbers one layer keeps of a token."""
    if latent := _number(text, "kv_lora_rank"):
        return latent + (_number(text, "qk_rope_head_dim") or 0)
    heads = _number(text, "num_attention_heads", "n_heads", "n_head") or 1
    size = _number(text, "head_dim") or (_number(text, "hidden_size", "d_model") or 0) // heads
    return 2 * (_number(text, "num_key_value_heads") or heads) * size


def _number(text: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        if isinstance(value := text.get(name), int):
            return value
    return None


def _all_gpus() -> list[int]:
    """Return the numbers of the GPUs that have a device file."""
    try:
        files = os.listdir("/dev")
    except OSError:
        return []
    return sorted(
        int(name[6:]) for name in files if name.startswith("nvidia") and name[6:].isdigit()
    )
