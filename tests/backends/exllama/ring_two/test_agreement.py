"""The shipped model says the same by ExLlamaV2's scheduler and FP16 weights as by ONNX Runtime and 8-bit weights."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from tests.backends.asking import ask
from tests.backends.exllama.ring_two.engine import CpuExLlamaV2Engine

from hoonify_backends.exllama.options import ExllamaOptions
from hoonify_backends.onnxruntime.engine import OnnxEngine
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_router.api import Engine
from hoonify_router.types import Message

TINY_CHAT = Path(__file__).resolve().parents[4] / "models" / "tiny-chat"
OF_EACH_KIND = 8


@pytest.fixture
def conversations(monkeypatch: pytest.MonkeyPatch) -> list[list[Message]]:
    """The model's evaluation prompts, which its training never saw."""
    monkeypatch.setattr(sys, "path", [str(TINY_CHAT), *sys.path])
    import evaluate
    from corpus.draw import Draw

    kinds = evaluate.REQUIRED | evaluate.SHOWN
    cases = [
        kind(Draw(seed, held_out=True)) for kind in kinds.values() for seed in range(OF_EACH_KIND)
    ]
    return [
        [Message(message["role"], message["content"]) for message in case.messages]
        for case in cases
    ]


async def answers(engine: Engine, conversations: list[list[Message]]) -> list[str]:
    """Return an engine's greedy answers, many asked for at once."""
    room = asyncio.Semaphore(8)

    async def answer(messages: list[Message]) -> str:
        async with room:
            text: str = (await ask(engine, messages, temperature=0, max_tokens=160)).text
            return text

    return await asyncio.gather(*(answer(messages) for messages in conversations))


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_moving_the_model_between_backends_changes_no_answer(
    conversations: list[list[Message]],
) -> None:
    """But for one in a hundred, which the two forms of the weights may explain."""
    ours, other = CpuExLlamaV2Engine(), OnnxEngine(on_fatal=lambda: None)
    await ours.load(
        ExllamaOptions(str(TINY_CHAT / "hf"), slots=8, cache_tokens=8192), lambda *stage: None
    )
    await other.load(
        OnnxOptions(str(TINY_CHAT / "onnx"), provider="cpu", slots=8, threads=1),
        lambda *stage: None,
    )
    try:
        got, expected = [await answers(engine, conversations) for engine in (ours, other)]
    finally:
        await ours.close()
        await other.close()
    same = sum(one == another for one, another in zip(got, expected, strict=True))
    print(f"{same} of {len(expected)} answers are the same")
    assert same >= 0.99 * len(expected)
