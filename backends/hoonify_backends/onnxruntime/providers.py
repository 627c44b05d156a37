"""Which of ONNX Runtime's execution providers to ask for, and whether the session got it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hoonify_backends.onnxruntime.options import Provider
from hoonify_router.errors import ModelUnavailable

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"
_TENSORRT = "TensorrtExecutionProvider"
_WANTED = {"cuda": _CUDA, "tensorrt": _TENSORRT}

_NVIDIA_FACTS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Choice:
    """What a session is asked for.

    Args:
        providers: Execution providers with their options, the wanted one first.
        strict: Whether getting another one is an error.
    """

    providers: list[tuple[str, dict[str, str]]]
    strict: bool = False

    @property
    def wanted(self) -> str:
        """Return the provider that the session should run on."""
        return self.providers[0][0]

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU is asked for."""
        return self.wanted != _CPU


def choose_provider(
    wish: Provider,
    *,
    available: Sequence[str],
    has_gpu: bool,
    device_id: int = 0,
    cuda: Mapping[str, str] | None = None,
    options: Mapping[str, str | int | float | bool] | None = None,
) -> Choice:
    """Return what to ask for.

    Args:
        wish: What the operator says.
        available: ``onnxruntime.get_available_providers()``: what it was compiled with, no more.
        has_gpu: Whether an NVIDIA GPU can be seen.
        device_id: Which one.
        cuda: What CUDA's provider is told beside that, wherever it is asked for.
        options: The operator's own options for the GPU's provider.

    Raises:
        ModelUnavailable: The wish names something that cannot be had here.
    """
    cpu: tuple[str, dict[str, str]] = (_CPU, {})
    if wish == "cpu" or (wish == "auto" and not (has_gpu and _CUDA in available)):
        return Choice([cpu], strict=True)
    own = {name: _as_text(value) for name, value in (options or {}).items()}
    place = {"device_id": str(device_id)}
    on_cuda = place | dict(cuda or {})
    if wish == "auto":
        return Choice([(_CUDA, on_cuda | own), cpu])
    wanted = _WANTED[wish]
    if wanted not in available:
        raise ModelUnavailable(
            f"provider: {wish} is set, but the installed ONNX Runtime was built without {wanted};"
            " install hoonify-router[onnx-gpu] instead of [onnx]"
        )
    if not has_gpu:
        raise ModelUnavailable(f"provider: {wish} is set, but there is no NVIDIA GPU here")
    if wish == "cuda":
        return Choice([(_CUDA, on_cuda | own), cpu], strict=True)
    return Choice([(_TENSORRT, place | own), (_CUDA, on_cuda), cpu], strict=True)


def cuda_settings(memory_gib: float | None, graphs: bool) -> dict[str, str]:
    """Return what CUDA's provider is told.

    Args:
        memory_gib: Limit of its memory; it grows by what it needs, and not by doubling.
        graphs: Whether runs are recorded and replayed.
    """
    settings = {"arena_extend_strategy": "kSameAsRequested"}
    if memory_gib is not None:
        settings["gpu_mem_limit"] = str(int(memory_gib * 1024**3))
    if graphs:
        settings["enable_cuda_graph"] = "1"
    return settings


def confirm_provider(choice: Choice, got: Sequence[str], log: logging.Logger) -> None:
    """Compare what a session got with what was asked for; ONNX Runtime falls back without a word.

    Raises:
        ModelUnavailable: The operator insisted on what the session did not get.
    """
    if got and got[0] == choice.wanted:
        return
    actual = got[0] if got else "nothing"
    if choice.strict:
        raise ModelUnavailable(
            f"{choice.wanted} was asked for, but ONNX Runtime fell back to {actual}: the driver or a"
            " library of CUDA or cuDNN is missing or too old; its own messages on stderr say which"
        )
    log.warning("%s cannot be used here, running on %s instead", choice.wanted, actual)


def device_name(provider: str, device_id: int, facts: Path = _NVIDIA_FACTS) -> str:
    """Return where a provider runs, for an operator: ``cpu`` or ``cuda:0 (NVIDIA H200)``."""
    if provider == _CPU:
        return "cpu"
    models = []
    for entry in sorted(facts.glob("*/information")):
        for line in entry.read_text(errors="replace").splitlines():
            if line.startswith("Model:"):
                models.append(line.partition(":")[2].strip())
    if device_id < len(models):
        return f"cuda:{device_id} ({models[device_id]})"
    return f"cuda:{device_id}"


def _as_text(value: str | int | float | bool) -> str:
    """Return an option as ONNX Runtime's providers read it."""
    return str(int(value)) if isinstance(value, bool) else str(value)
