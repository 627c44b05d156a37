"""What torch says of the GPUs, in the worker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hoonify_router.errors import ModelUnavailable


def require_cuda() -> None:
    """Look whether torch can use a GPU.

    Raises:
        ModelUnavailable: It cannot; the message tells an operator why.
    """
    import torch

    if torch.version.cuda is None:
        raise ModelUnavailable(
            f"torch {torch.__version__} in this environment was built without CUDA: install one with it"
        )
    if not torch.cuda.is_available():
        raise ModelUnavailable(
            f"torch {torch.__version__} was built for CUDA {torch.version.cuda} and finds no GPU: is the"
            " driver installed, and is CUDA_VISIBLE_DEVICES right?"
        )


def devices_of(tensors: Iterable[Any]) -> str:
    """Return the devices that tensors lie on, with the first one's name, such as ``cuda:0 (NVIDIA H200)``."""
    import torch

    devices = sorted({str(tensor.device) for tensor in tensors})
    if not devices or not devices[0].startswith("cuda"):
        return ", ".join(devices) or "cuda"
    return f"{', '.join(devices)} ({torch.cuda.get_device_name(torch.device(devices[0]))})"


def memory_in_use() -> int:
    """Return how many bytes torch has taken on all GPUs."""
    import torch

    return sum(torch.cuda.memory_reserved(place) for place in range(torch.cuda.device_count()))
