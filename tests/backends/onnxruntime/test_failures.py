"""Every exception of ONNX Runtime has an error of ours."""

from __future__ import annotations

import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from hoonify_backends.onnxruntime.failures import loading_failure, running_failure
from hoonify_router.errors import (
    EngineDead,
    InvalidRequest,
    ModelUnavailable,
    OutOfMemory,
)

ORT_EXCEPTIONS = [
    value
    for value in vars(ort).values()
    if isinstance(value, type) and issubclass(value, Exception)
]
MEMORY = [
    MemoryError(),
    ort.RuntimeException("Failed to allocate memory for requested buffer of size 123"),
    ort.Fail("CUDA error: CUDA_ERROR_OUT_OF_MEMORY"),
    RuntimeError("std::bad_alloc"),
]


def test_there_is_something_to_map() -> None:
    """The list below is not empty."""
    assert len(ORT_EXCEPTIONS) > 10


@pytest.mark.parametrize("kind", ORT_EXCEPTIONS)
def test_every_exception_while_loading(kind: type[Exception]) -> None:
    """The model is unavailable, and the operator reads the library's words."""
    error = loading_failure(kind("the library's words\nat some.cc:12"))
    assert type(error) is ModelUnavailable
    assert "the library's words" in error.message
    assert "some.cc" not in error.message


@pytest.mark.parametrize("kind", [*ORT_EXCEPTIONS, ValueError])
def test_every_exception_while_running(kind: type[Exception]) -> None:
    """The engine failed, and clients read no inner word."""
    error = running_failure(kind("secret path /x"))
    assert type(error) is EngineDead
    assert "secret" not in error.message


@pytest.mark.parametrize("failure", MEMORY, ids=repr)
def test_memory_that_ran_out(failure: Exception) -> None:
    """It is told apart by its words, for want of a class."""
    assert type(loading_failure(failure)) is OutOfMemory
    assert type(running_failure(failure)) is OutOfMemory


def test_errors_of_ours_stay_as_they_are() -> None:
    """They say what is wrong already."""
    error = InvalidRequest("as it is")
    assert loading_failure(error) is error
