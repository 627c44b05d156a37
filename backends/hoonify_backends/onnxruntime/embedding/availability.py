"""A quick look whether a home for embeddings can run here, without importing an engine."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from hoonify_backends.generation.folder import FolderProblem
from hoonify_backends.onnxruntime.availability import (
    missing_device,
    missing_flavour,
    missing_library,
)
from hoonify_backends.onnxruntime.embedding.folder import read_embedding_folder
from hoonify_backends.onnxruntime.embedding.options import OnnxEmbeddingOptions
from hoonify_router.api import HomeConfig, Unavailable


def check(options: Struct, home: HomeConfig, base_dir: Path) -> Unavailable | None:
    """Return why the home cannot run here, or ``None``."""
    assert isinstance(options, OnnxEmbeddingOptions)
    if home.python is None and (missing := missing_library()):
        return missing
    if missing := missing_device(options.provider):
        return missing
    if home.python is None and (missing := missing_flavour(options.provider)):
        return missing
    try:
        read_embedding_folder(base_dir / options.model, options)
    except FolderProblem as problem:
        return Unavailable(problem.reason, problem.detail)
    return None
