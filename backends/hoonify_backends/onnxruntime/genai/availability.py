"""A quick look whether a home can run here, without importing an engine."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from msgspec import Struct

from hoonify_backends.generation.folder import FolderProblem
from hoonify_backends.onnxruntime.availability import missing_device
from hoonify_backends.onnxruntime.genai.options import GenaiOptions
from hoonify_backends.onnxruntime.model_folder import read_model_folder
from hoonify_router.api import HomeConfig, Unavailable


def check(options: Struct, home: HomeConfig, base_dir: Path) -> Unavailable | None:
    """Return why the home cannot run here, or ``None``."""
    assert isinstance(options, GenaiOptions)
    if home.python is None and importlib.util.find_spec("onnxruntime_genai") is None:
        return Unavailable(
            "onnxruntime-genai is not installed.", "run: hoonify-router env sync onnxruntime_genai"
        )
    if missing := missing_device(options.provider):
        return missing
    try:
        read_model_folder(base_dir / options.model, shared_buffer=False)
    except FolderProblem as problem:
        return Unavailable(problem.reason, problem.detail)
    return None
