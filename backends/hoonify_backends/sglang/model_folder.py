"""Whether a folder, or a GGUF file, holds what SGLang can load; a repository is looked at by SGLang itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hoonify_router.api import Unavailable

_MISSING = "Its model is not there."
_FOREIGN = "The model's weights are in a form that this engine cannot read."
_OTHERS = {"exl2": "exllamav2", "exl3": "exllamav3"}
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.gguf")


def wrong_model(path: Path, *, dummy: bool = False) -> Unavailable | None:
    """Return what is wrong with the model at ``path``, if anything is.

    Args:
        path: What ``options.model`` names.
        dummy: Its weights are made up, for tries: there need be none.
    """
    if path.is_file() and path.suffix == ".gguf":
        return None
    if not path.is_dir():
        return _not_there(path, "there is no such folder")
    if not (path / "config.json").is_file():
        if next(path.glob("*.onnx"), None) is not None:
            return _foreign(path, "an ONNX model", "onnxruntime")
        return _not_there(path, "it holds no config.json")
    method = _quantization(path / "config.json")
    if method in _OTHERS:
        return _foreign(path, f"a checkpoint in {method.upper()} form", _OTHERS[method])
    if not dummy and not any(any(path.glob(pattern)) for pattern in _WEIGHTS):
        return _not_there(path, "it holds no weights")
    return None


def _quantization(config: Path) -> str:
    """Return how the weights are quantized; nothing where they are not, or the file cannot be read."""
    try:
        told: Any = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    said = told.get("quantization_config") if isinstance(told, dict) else None
    return str(said.get("quant_method", "")) if isinstance(said, dict) else ""


def _not_there(path: Path, what: str) -> Unavailable:
    return Unavailable(_MISSING, f"options.model: {path}: {what}")


def _foreign(path: Path, what: str, backend: str) -> Unavailable:
    told = f"{path} is {what}, which sglang cannot read: set backend: {backend}"
    return Unavailable(_FOREIGN, told)
