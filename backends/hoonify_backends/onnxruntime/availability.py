"""A quick look whether a home can run here, without importing an engine."""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from msgspec import Struct

from hoonify_backends.generation.folder import FolderProblem
from hoonify_backends.gpus import has_nvidia_device
from hoonify_backends.onnxruntime.model_folder import read_model_folder
from hoonify_backends.onnxruntime.options import OnnxOptions, Provider
from hoonify_router.api import HomeConfig, Unavailable

_FLAVOURS = ("onnxruntime", "onnxruntime-gpu")


def check(options: Struct, home: HomeConfig, base_dir: Path) -> Unavailable | None:
    """Return why the home cannot run here, or ``None``.

    A home with an interpreter of its own may have modules that this process has not: then only files and
    devices are looked at, and the engine looks again when it loads.
    """
    assert isinstance(options, OnnxOptions)
    if home.python is None and (missing := missing_library()):
        return missing
    if missing := missing_device(options.provider):
        return missing
    if home.python is None and (missing := missing_flavour(options.provider)):
        return missing
    try:
        read_model_folder(base_dir / options.model)
    except FolderProblem as problem:
        return Unavailable(problem.reason, problem.detail)
    return None


def missing_device(provider: Provider) -> Unavailable | None:
    """Return a refusal where a GPU is asked for and cannot be seen, or ``None``."""
    if provider not in ("cuda", "tensorrt") or has_nvidia_device():
        return None
    return Unavailable(
        "This model needs an NVIDIA GPU, and there is none.",
        f"provider: {provider} is set, but neither a /dev/nvidia* device nor nvidia-smi"
        " shows a GPU; use provider: auto or cpu to run without one",
    )


def missing_flavour(provider: Provider) -> Unavailable | None:
    """Return a refusal where a GPU is asked for and this interpreter's ONNX Runtime is for the CPU, or ``None``."""
    if provider not in ("cuda", "tensorrt") or not _is_installed(_FLAVOURS[0]):
        return None
    return Unavailable(
        "Its engine is installed for the CPU only.",
        f"provider: {provider} is set; run: hoonify-router env sync onnxruntime --accelerator cuda",
    )


def missing_library() -> Unavailable | None:
    """Return what is wrong with ONNX Runtime in this interpreter, or ``None``."""
    if importlib.util.find_spec("onnxruntime") is None:
        return Unavailable(
            "ONNX Runtime is not installed.",
            "run: hoonify-router env sync onnxruntime (or pip install 'hoonify-router[onnx]')",
        )
    return clashing_libraries()


def clashing_libraries() -> Unavailable | None:
    """Return a refusal where both flavours are installed: they own the same files, the last one wins."""
    found = [name for name in _FLAVOURS if _is_installed(name)]
    if len(found) < 2:
        return None
    return Unavailable(
        "The engine's installation is broken.",
        "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: uninstall both,"
        " then install only one: pip uninstall -y onnxruntime onnxruntime-gpu &&"
        " pip install 'hoonify-router[onnx]' (or [onnx-gpu])",
    )


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
