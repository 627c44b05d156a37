"""The engines' exceptions as errors of ours: the one place where they are told apart."""

from __future__ import annotations

from hoonify_router.errors import EngineDead, ModelUnavailable, OutOfMemory, RouterError

_MEMORY_NAMES = frozenset({"MemoryError", "OutOfMemoryError"})
_MEMORY_WORDS = ("out of memory", "insufficient vram", "cublas_status_alloc_failed", "bad_alloc")
_DEVICE_NAMES = frozenset({"AcceleratorError"})
_DEVICE_WORDS = ("cuda error", "cuda driver error", "cublas", "cudnn", "nccl", "device-side assert")


def is_out_of_memory(failure: BaseException) -> bool:
    """Tell whether a failure means that memory ran out; torch says it by several classes and in words."""
    if type(failure).__name__ in _MEMORY_NAMES or isinstance(failure, MemoryError):
        return True
    text = str(failure).lower()
    return any(word in text for word in _MEMORY_WORDS)


def is_device_failure(failure: BaseException) -> bool:
    """Tell whether the GPU itself failed: then nothing in this process can use it any more."""
    if is_out_of_memory(failure):
        return False
    text = str(failure).lower()
    return type(failure).__name__ in _DEVICE_NAMES or any(word in text for word in _DEVICE_WORDS)


def loading_failure(failure: Exception) -> RouterError:
    """Return the error for a model that could not be loaded; its message is for an operator."""
    if isinstance(failure, RouterError):
        return failure
    name, text = type(failure).__name__, _first_line(failure)
    if is_out_of_memory(failure):
        return OutOfMemory(
            f"not enough GPU memory for the model and its cache: {text}; a smaller cache_tokens or cache:"
            " q8, q6 or q4 takes less"
        )
    if isinstance(failure, ImportError):
        return ModelUnavailable(f"the engine cannot be imported ({name}): {text}")
    return ModelUnavailable(f"the model cannot be loaded ({name}): {text}")


def running_failure(failure: Exception) -> RouterError:
    """Return the error for requests that were running when the engine failed; clients may read it."""
    if is_out_of_memory(failure):
        return no_memory()
    return EngineDead("The engine failed while it held the request.", retry_after=1)


def no_memory() -> OutOfMemory:
    """Return the error for the one request that was given up to save the others."""
    return OutOfMemory("The engine has no memory left for this request.", retry_after=5)


def _first_line(failure: Exception) -> str:
    lines = str(failure).strip().splitlines()
    return lines[0][:400] if lines else "no message"
