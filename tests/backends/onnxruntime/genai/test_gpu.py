"""onnxruntime-genai's engine on an NVIDIA GPU: the answers of the CPU, alone and in company."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hoonify_backends.gpus import has_nvidia_device
from hoonify_backends.onnxruntime.genai.engine import GenaiEngine
from hoonify_backends.onnxruntime.genai.options import GenaiOptions


def _missing() -> str:
    """Return what is missing for these tests, or nothing."""
    if not has_nvidia_device():
        return "no NVIDIA GPU here"
    og = pytest.importorskip("onnxruntime_genai", reason="onnxruntime-genai is not installed")
    return "" if og.is_cuda_available() else "the installed onnxruntime-genai is the CPU's"


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(_missing()), reason=_missing())]


async def test_greedy_answers_are_those_of_the_cpu(
    model_path: Path, ask: Callable[..., Any]
) -> None:
    """The session is on the GPU by its own word, or loading has failed."""
    questions = ["Hello!", "What is a KV cache?", "Name three animals."]
    wishes = {"temperature": 0, "max_tokens": 24}
    texts = {}
    for provider in ("cpu", "cuda"):
        engine = GenaiEngine()
        options = GenaiOptions(str(model_path), provider=provider, slots=4)  # type: ignore[arg-type]
        await engine.load(options, lambda *stage: None)
        answers = await asyncio.gather(*(ask(engine, each, **wishes) for each in questions))
        texts[provider] = [answered.text for answered in answers]
        assert engine.capabilities.device.startswith("cuda:0" if provider == "cuda" else "cpu")
        await engine.close()
    assert texts["cuda"] == texts["cpu"]
