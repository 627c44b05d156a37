"""The shipped model on an NVIDIA GPU: the same answers as on the CPU, alone and in company."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from hoonify_backends.gpus import has_nvidia_device
from hoonify_backends.onnxruntime.engine import OnnxEngine
from hoonify_backends.onnxruntime.loading import LoadedModel, load_model
from hoonify_backends.onnxruntime.options import OnnxOptions


def _missing() -> str:
    """Return what is missing for these tests, or nothing."""
    if not has_nvidia_device():
        return "no NVIDIA GPU here"
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "the installed ONNX Runtime is the CPU's: install hoonify-router[onnx-gpu]"
    return ""


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(_missing()), reason=_missing())]


@pytest.fixture(scope="module")
def on_gpu(options: OnnxOptions) -> LoadedModel:
    """The shipped model with four slots on the GPU."""
    return load_model(
        msgspec.structs.replace(options, provider="cuda"),
        logging.getLogger(__name__),
        lambda stage: None,
    )


def test_the_session_got_the_gpu(on_gpu: LoadedModel) -> None:
    """By its own word, and with the device's name."""
    assert on_gpu.details["provider"] == "CUDAExecutionProvider"
    assert on_gpu.device.startswith("cuda:0")


def test_rows_of_different_length_share_a_call(
    on_gpu: LoadedModel, reference: Any, prompts: list[list[int]]
) -> None:
    """The GPU's attention writes in place, row by row, as the CPU's does."""
    model = on_gpu.model
    for row, prompt in enumerate(prompts[:4]):
        half = len(prompt) // 2
        model.prefill(row, prompt[:half], 0)
        model.prefill(row, prompt[half:-1], half)
    scores = model.decode([p[-1] for p in prompts[:4]], [len(p) - 1 for p in prompts[:4]])
    for got, prompt in zip(scores, prompts, strict=False):
        np.testing.assert_allclose(got, reference.scores(prompt), rtol=0.02, atol=0.05)


@pytest.fixture
async def engine(options: OnnxOptions) -> AsyncIterator[OnnxEngine]:
    engine = OnnxEngine()
    await engine.load(
        msgspec.structs.replace(options, provider="cuda", prefill_chunk=16), lambda *stage: None
    )
    yield engine
    await engine.close()


async def test_greedy_answers_are_the_same_alone_and_together(
    engine: OnnxEngine, ask: Callable[..., Any]
) -> None:
    """Rows stay where they are, and those without an answer ride along."""
    questions = ["Hello!", "What is a KV cache?", "Name three animals."] * 3
    wishes = {"temperature": 0, "max_tokens": 24}
    alone = [(await ask(engine, question, **wishes)).text for question in questions]
    together = await asyncio.gather(*(ask(engine, question, **wishes) for question in questions))
    assert [answered.text for answered in together] == alone


async def test_several_answers_share_their_prompt(
    engine: OnnxEngine, ask: Callable[..., Any]
) -> None:
    """Its row is copied within the GPU's memory; loading has proved that it can be."""
    assert engine._loaded is not None
    assert engine._loaded.model.can_copy
    wishes = {"temperature": 0, "max_tokens": 24}
    one = await ask(engine, "Name three animals.", **wishes)
    several = await ask(engine, "Name three animals.", n=7, **wishes)
    assert several.texts == [one.text] * 7
    assert several.usage.prompt_tokens == one.usage.prompt_tokens


async def test_recorded_steps_give_the_same_answers(
    options: OnnxOptions, engine: OnnxEngine, ask: Callable[..., Any]
) -> None:
    """A CUDA graph for each number of rows, replayed; alone and in company."""
    recorded = OnnxEngine()
    wishes = msgspec.structs.replace(options, provider="cuda", cuda_graphs=True, gpu_memory_gib=2.0)
    await recorded.load(wishes, lambda *stage: None)
    try:
        assert recorded.capabilities.details["cuda_graphs"] == "on"
        questions = ["Hello!", "What is a KV cache?", "Name three animals."] * 3
        wish = {"temperature": 0, "max_tokens": 24}
        expected = [(await ask(engine, question, **wish)).text for question in questions]
        alone = [(await ask(recorded, question, **wish)).text for question in questions]
        together = await asyncio.gather(*(ask(recorded, each, **wish) for each in questions))
        assert alone == expected
        assert [answered.text for answered in together] == expected
    finally:
        await recorded.close()
