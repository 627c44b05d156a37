"""Which provider is asked for, and what happens when the session gets another."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from hoonify_backends.onnxruntime.options import Provider
from hoonify_backends.onnxruntime.providers import (
    choose_provider,
    confirm_provider,
    cuda_settings,
    device_name,
)
from hoonify_router.errors import ModelUnavailable

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
GPU_BUILD = [TENSORRT, CUDA, CPU]


@pytest.mark.parametrize(
    ("wish", "has_gpu", "available", "asked"),
    [
        ("cpu", True, GPU_BUILD, [CPU]),
        ("auto", True, GPU_BUILD, [CUDA, CPU]),
        ("auto", False, GPU_BUILD, [CPU]),
        ("auto", True, [CPU], [CPU]),
        ("cuda", True, GPU_BUILD, [CUDA, CPU]),
        ("tensorrt", True, GPU_BUILD, [TENSORRT, CUDA, CPU]),
    ],
)
def test_what_is_asked_for(
    wish: Provider, has_gpu: bool, available: list[str], asked: list[str]
) -> None:
    """``auto`` takes the GPU where there is one and the library can use it, TensorRT never by itself."""
    choice = choose_provider(wish, available=available, has_gpu=has_gpu, device_id=1)
    assert [name for name, _ in choice.providers] == asked
    assert choice.wanted == asked[0]
    assert choice.on_gpu is (asked != [CPU])
    assert all(options == {"device_id": "1"} for name, options in choice.providers if name != CPU)


@pytest.mark.parametrize(
    ("wish", "has_gpu", "available", "said"),
    [
        ("cuda", True, [CPU], "onnx-gpu"),
        ("cuda", False, GPU_BUILD, "no NVIDIA GPU"),
        ("tensorrt", True, [CUDA, CPU], "built without TensorrtExecutionProvider"),
    ],
)
def test_what_cannot_be_had_is_refused(
    wish: Provider, has_gpu: bool, available: list[str], said: str
) -> None:
    """One sentence says what is missing."""
    with pytest.raises(ModelUnavailable, match=said):
        choose_provider(wish, available=available, has_gpu=has_gpu)


def test_the_operators_own_options_reach_the_provider() -> None:
    """As the text that ONNX Runtime wants."""
    choice = choose_provider(
        "tensorrt",
        available=GPU_BUILD,
        has_gpu=True,
        options={"trt_fp16_enable": True, "trt_max_workspace_size": 1024},
    )
    assert choice.providers[0][1] == {
        "device_id": "0",
        "trt_fp16_enable": "1",
        "trt_max_workspace_size": "1024",
    }
    assert choice.providers[1] == (CUDA, {"device_id": "0"})


def test_memory_and_graphs_are_told_to_cuda_alone() -> None:
    """In bytes; the operator's own options win."""
    told = cuda_settings(1.5, graphs=True)
    assert told == {
        "arena_extend_strategy": "kSameAsRequested",
        "gpu_mem_limit": "1610612736",
        "enable_cuda_graph": "1",
    }
    assert cuda_settings(None, graphs=False) == {"arena_extend_strategy": "kSameAsRequested"}
    own = {"gpu_mem_limit": 5}
    wishes: dict[str, Any] = {"available": GPU_BUILD, "has_gpu": True, "cuda": told, "options": own}
    assert choose_provider("cuda", **wishes).providers[0][1] == {
        "device_id": "0",
        **told,
        "gpu_mem_limit": "5",
    }
    tensorrt, cuda, _ = choose_provider("tensorrt", **wishes).providers
    assert tensorrt[1] == {"device_id": "0", "gpu_mem_limit": "5"}
    assert cuda[1] == {"device_id": "0", **told}


def test_a_session_that_got_what_was_asked_for_is_fine(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said."""
    choice = choose_provider("cuda", available=GPU_BUILD, has_gpu=True)
    confirm_provider(choice, [CUDA, CPU], logging.getLogger())
    assert not caplog.records


def test_a_silent_fallback_is_an_error_when_a_gpu_was_demanded() -> None:
    """ONNX Runtime itself only prints a warning."""
    choice = choose_provider("cuda", available=GPU_BUILD, has_gpu=True)
    with pytest.raises(ModelUnavailable, match="fell back to CPUExecutionProvider"):
        confirm_provider(choice, [CPU], logging.getLogger())


def test_a_silent_fallback_is_a_warning_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    """``auto`` goes on, and the operator learns of it."""
    choice = choose_provider("auto", available=GPU_BUILD, has_gpu=True)
    confirm_provider(choice, [CPU], logging.getLogger())
    assert "running on CPUExecutionProvider instead" in caplog.text


def test_a_device_has_a_name_for_operators(tmp_path: Path) -> None:
    """The driver's own name of the GPU, where it can be read."""
    for bus, model in (("0000:01", "NVIDIA A"), ("0000:02", "NVIDIA B")):
        (tmp_path / bus).mkdir()
        (tmp_path / bus / "information").write_text(f"Model: \t\t {model}\nIRQ: 1\n")
    assert device_name(CUDA, 1, tmp_path) == "cuda:1 (NVIDIA B)"
    assert device_name(TENSORRT, 0, tmp_path) == "cuda:0 (NVIDIA A)"
    assert device_name(CUDA, 2, tmp_path) == "cuda:2"
    assert device_name(CPU, 0, tmp_path) == "cpu"
