"""Recorded steps give what plain ones give; on the CPU nothing is recorded, but all is bound the same way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from hoonify_backends.onnxruntime.captured_decode import sizes_of
from hoonify_backends.onnxruntime.engine import OnnxEngine
from hoonify_backends.onnxruntime.loading import LoadedModel, load_model
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_router.errors import ModelUnavailable


@pytest.fixture
def recorded(options: OnnxOptions) -> LoadedModel:
    """The shipped model with five slots, its steps bound as for a GPU."""
    wishes = msgspec.structs.replace(options, slots=5)
    loaded = load_model(wishes, logging.getLogger(__name__), lambda stage: None)
    loaded.model.capture(("cpu", 0))
    return loaded


@pytest.mark.parametrize(
    ("slots", "sizes"),
    [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8]), (9, [1, 2, 4, 8, 9])],
)
def test_there_is_a_graph_for_every_power_of_two(slots: int, sizes: list[int]) -> None:
    """And one for all rows."""
    assert sizes_of(slots) == sizes


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_scores_are_those_of_plain_steps(
    recorded: LoadedModel, reference: Any, prompts: list[list[int]], rows: int
) -> None:
    """Whatever the number of rows, and again when the graph has been recorded."""
    model, asked = recorded.model, [list(prompt) for prompt in prompts[:rows]]
    for row, prompt in enumerate(asked):
        model.prefill(row, prompt[:-1], 0)
    for _ in range(3):
        scores = model.decode([p[-1] for p in asked], [len(p) - 1 for p in asked])
        assert scores.shape == (rows, model.vocabulary)
        for got, prompt in zip(scores, asked, strict=True):
            np.testing.assert_allclose(got, reference.scores(prompt), rtol=0.02, atol=0.05)
            prompt.append(int(got.argmax()))


def test_rows_that_nobody_asked_for_keep_what_they_hold(
    recorded: LoadedModel, reference: Any, prompts: list[list[int]]
) -> None:
    """A step of three rows runs as one of four, and what the fourth was reading goes on."""
    model = recorded.model
    fourth = prompts[3]
    model.prefill(3, fourth[:5], 0)
    for row, prompt in enumerate(prompts[:3]):
        model.prefill(row, prompt[:-1], 0)
    model.decode([p[-1] for p in prompts[:3]], [len(p) - 1 for p in prompts[:3]])
    scores = model.prefill(3, fourth[5:], 5)
    np.testing.assert_allclose(scores[0], reference.scores(fourth), rtol=0.02, atol=0.05)


async def test_without_a_gpu_nothing_is_recorded(
    options: OnnxOptions, ask: Callable[..., Any]
) -> None:
    """The same file serves machines with and without one."""
    engine = OnnxEngine()
    await engine.load(
        msgspec.structs.replace(options, cuda_graphs=True, gpu_memory_gib=1.0), lambda *stage: None
    )
    assert "cuda_graphs" not in engine.capabilities.details
    assert (await ask(engine, "Hello!", temperature=0)).finish == "stop"
    await engine.close()


async def test_tensorrt_records_nothing(options: OnnxOptions) -> None:
    """It says so, and does not just go without."""
    wishes = msgspec.structs.replace(options, provider="tensorrt", cuda_graphs=True)
    with pytest.raises(ModelUnavailable, match="cuda_graphs: true goes with provider: cuda"):
        await OnnxEngine().load(wishes, lambda *stage: None)
