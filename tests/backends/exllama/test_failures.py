"""The engines' exceptions as errors of ours."""

from __future__ import annotations

import pytest

from hoonify_backends.exllama.failures import (
    is_device_failure,
    is_out_of_memory,
    loading_failure,
    running_failure,
)
from hoonify_router.errors import EngineDead, ModelUnavailable, OutOfMemory, RouterError


class OutOfMemoryError(RuntimeError):
    """Named as torch's is."""


class AcceleratorError(RuntimeError):
    """Named as torch's is."""


MEMORY = [
    OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    AcceleratorError("CUDA error: out of memory"),
    RuntimeError("Insufficient VRAM for model and cache"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    MemoryError(),
]
DEVICE = [
    AcceleratorError("unspecified launch failure"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED"),
    RuntimeError("device-side assert triggered"),
]
OTHER = [ValueError("a bug"), AssertionError("Job requires 99 pages"), RuntimeError("")]


@pytest.mark.parametrize("failure", [*MEMORY, *DEVICE, *OTHER], ids=repr)
def test_failures_are_told_apart(failure: Exception) -> None:
    """Memory comes back, a failed GPU does not, and the rest is a bug."""
    assert is_out_of_memory(failure) is (failure in MEMORY)
    assert is_device_failure(failure) is (failure in DEVICE)


@pytest.mark.parametrize("failure", [*MEMORY, *DEVICE, *OTHER], ids=repr)
def test_clients_read_no_details(failure: Exception) -> None:
    """Of an answer that was running."""
    error = running_failure(failure)
    assert isinstance(error, OutOfMemory if failure in MEMORY else EngineDead)
    assert error.retry_after
    assert str(failure) == "" or str(failure) not in error.message


@pytest.mark.parametrize(
    ("failure", "kind", "told"),
    [
        (MEMORY[0], OutOfMemory, "cache: q8, q6 or q4"),
        (ImportError("No module named 'triton'"), ModelUnavailable, "cannot be imported"),
        (OSError("CUDA_HOME environment variable is not set\nhint"), ModelUnavailable, "CUDA_HOME"),
        (AssertionError("Unknown architecture X in y"), ModelUnavailable, "Unknown architecture X"),
        (RuntimeError(""), ModelUnavailable, "no message"),
    ],
)
def test_operators_read_why_a_model_does_not_load(
    failure: Exception, kind: type[RouterError], told: str
) -> None:
    """In one line."""
    error = loading_failure(failure)
    assert isinstance(error, kind)
    assert told in error.message
    assert "\n" not in error.message


def test_errors_of_ours_stay_as_they_are() -> None:
    """They say it better."""
    error = ModelUnavailable("torch finds no GPU")
    assert loading_failure(error) is error
