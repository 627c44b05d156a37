"""What a launched home takes of its GPUs' memory: SGLang fills a share of each, whatever the model's size."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from hoonify_backends.gpus import nvidia_memory
from hoonify_backends.sglang.options import SGLangOptions
from hoonify_router.api import HomeConfig

_MIB = 1024**2
_WHOLE = 0.97  # of a GPU: the driver keeps the rest, so no GPU is ever wholly free
_BESIDE = 1536 * _MIB  # of each GPU: CUDA's context and the libraries' work space
_A_TOKEN = 3 * _MIB // 2  # of a prompt's piece between the layers: SGLang's own rule of thumb
_PIECE = 8192  # tokens of a piece, where nothing is said
_UNDIVIDED = 16384  # tokens of a prompt that is not divided
_A_RANK = 128 * _MIB


def gpus_needed(options: SGLangOptions) -> int:
    """Return how many GPUs of one machine a server takes."""
    ranks = options.tensor_parallel * options.pipeline_parallel * options.data_parallel
    return max(1, ranks // options.nnodes)


def estimate(options: Struct, home: HomeConfig, base_dir: Path) -> dict[int, int] | None:
    """Return the bytes that a home takes on each of its GPUs; see ``ServerBackend.estimate``.

    ``mem_fraction_static`` is the share for weights and KV cache; what a step takes comes on top. Without it
    SGLang leaves just so much of each GPU as a step may take. ``None`` where nobody tells how large the GPUs are.
    """
    assert isinstance(options, SGLangOptions)
    if options.device == "cpu":
        return None
    there = nvidia_memory()
    gpus = (home.gpu or sorted(there))[: gpus_needed(options)]
    return {gpu: _taken(options, there[gpu]) for gpu in gpus if gpu in there} or None


def _taken(options: SGLangOptions, total: int) -> int:
    most = int(total * _WHOLE)
    if options.mem_fraction_static is None:
        return most
    piece = options.chunked_prefill_size or _PIECE
    tokens = piece if piece > 0 else _UNDIVIDED
    ranks = options.tensor_parallel * options.pipeline_parallel
    step = _BESIDE + tokens * _A_TOKEN + ranks * _A_RANK
    return min(most, int(total * options.mem_fraction_static) + step)
