"""What a home takes of a GPU's memory, by its files and options alone."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from hoonify_backends.generation.folder import FolderProblem
from hoonify_backends.gpus import has_nvidia_device
from hoonify_backends.onnxruntime.model_folder import read_model_folder
from hoonify_backends.onnxruntime.options import DEFAULT_SLOTS, OnnxOptions
from hoonify_router.api import HomeConfig

_GIB = 1024**3
_NUMBER = 2  # bytes: exports for GPUs keep keys and values in half precision
_OVERHEAD = _GIB  # CUDA's own, its libraries' work space, and intermediate results


def estimate(options: Struct, home: HomeConfig, base_dir: Path) -> dict[int, int] | None:
    """Return the bytes that a home takes on its GPU; ``None`` where it runs on the CPU or cannot be read."""
    assert isinstance(options, OnnxOptions)
    if options.provider == "cpu" or (options.provider == "auto" and not has_nvidia_device()):
        return None
    try:
        folder = read_model_folder(base_dir / options.model)
    except FolderProblem:
        return None
    facts = folder.config.model
    decoder = facts.decoder
    length = options.max_length or facts.context_length
    row = 2 * decoder.num_hidden_layers * decoder.num_key_value_heads * decoder.head_size
    row *= length * _NUMBER
    budget = int(options.kv_memory_gib * _GIB)
    slots = options.slots or max(1, min(DEFAULT_SLOTS, budget // row))
    weights = sum(file.stat().st_size for file in folder.path.glob(f"{folder.graph.name}*"))
    return {options.device_id: weights + slots * row + _OVERHEAD}
