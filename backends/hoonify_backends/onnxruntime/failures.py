"""ONNX Runtime's exceptions as errors of ours: the one place where they are told apart."""

from __future__ import annotations

from hoonify_router.errors import EngineDead, ModelUnavailable, OutOfMemory, RouterError

_MEMORY_WORDS = (
    "failed to allocate",
    "out of memory",
    "bad allocation",
    "bad_alloc",
    "cuda_error_out_of_memory",
    "cublas_status_alloc_failed",
)

_UNREADABLE = frozenset(
    {"InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile", "NotFound", "NotImplemented"}
)


def is_out_of_memory(failure: BaseException) -> bool:
    """Tell whether a failure means that memory ran out; the libraries have no class for it."""
    text = str(failure).lower()
    return isinstance(failure, MemoryError) or any(word in text for word in _MEMORY_WORDS)


def loading_failure(failure: Exception) -> RouterError:
    """Return the error for a model that could not be loaded; its message is for an operator."""
    if isinstance(failure, RouterError):
        return failure
    name, text = type(failure).__name__, _first_line(failure)
    if is_out_of_memory(failure):
        return OutOfMemory(f"not enough memory to load the model: {text}")
    if name in _UNREADABLE:
        return ModelUnavailable(f"ONNX Runtime cannot read the model ({name}): {text}")
    return ModelUnavailable(f"the model cannot be loaded ({name}): {text}")


def running_failure(failure: Exception) -> RouterError:
    """Return the error for requests that were running when the engine failed; clients may read it."""
    if is_out_of_memory(failure):
        return OutOfMemory("The engine has no memory left for this request.", retry_after=5)
    return EngineDead("The engine failed while it held the request.", retry_after=1)


def _first_line(failure: Exception) -> str:
    lines = str(failure).strip().splitlines()
    return lines[0][:400] if lines else "no message"
