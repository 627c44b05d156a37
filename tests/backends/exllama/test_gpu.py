"""The shipped model on an NVIDIA GPU, by the real engines: as it is, and quantized here."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.backends.images import about, plain

from hoonify_backends.exllama.engine import ExllamaEngine
from hoonify_backends.exllama.options import ExllamaOptions
from hoonify_backends.exllama.v2.engine import ExLlamaV2Engine
from hoonify_backends.exllama.v3.engine import ExLlamaV3Engine
from hoonify_backends.gpus import has_nvidia_device
from hoonify_router.errors import EngineDead
from hoonify_router.types import ChatRequest, Message

MODEL = Path(__file__).resolve().parents[3] / "models" / "tiny-chat" / "hf"
ENGINES: dict[str, type[ExllamaEngine]] = {
    "exllamav2": ExLlamaV2Engine,
    "exllamav3": ExLlamaV3Engine,
}
QUESTIONS = ["Hello!", "What is a KV cache?", "Name three animals.", "Count from 1 to 9."]
ANSWERS = [
    "Hello! How can I help you?",
    "A KV cache keeps the attention keys and values of past tokens in memory.",
    "Cat, dog and horse.",
    "1, 2, 3, 4, 5, 6, 7, 8, 9.",
]
Start = Callable[..., Any]
Ask = Callable[..., Any]


def _missing(backend: str) -> str:
    """Return what is missing for the tests of a backend, or nothing."""
    if not has_nvidia_device():
        return "no NVIDIA GPU here"
    if importlib.util.find_spec(backend) is None:
        return f"{backend} is not in this environment"
    import torch

    if not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no GPU"
    return ""


def needs(backend: str) -> pytest.MarkDecorator:
    """Skip a test where its backend cannot run, and say why."""
    return pytest.mark.skipif(bool(_missing(backend)), reason=_missing(backend))


EACH = pytest.mark.parametrize(
    "backend", [pytest.param(name, marks=needs(name)) for name in ENGINES]
)
# The first import compiles kernels.
pytestmark = [pytest.mark.gpu, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start engines with some options; they are closed after the test."""
    engines: list[ExllamaEngine] = []

    async def start_one(backend: str, model: Path = MODEL, **options: Any) -> ExllamaEngine:
        engine = ENGINES[backend](on_fatal=lambda: None)
        engines.append(engine)
        seen: list[tuple[str, int, int]] = []
        await engine.load(
            ExllamaOptions(str(model), **{"slots": 4, "cache_tokens": 8192} | options),
            lambda *stage: seen.append(stage),
        )
        weights = [stage for stage in seen if stage[0] == "loading weights"]
        assert weights[-1][1] == weights[-1][2]
        return engine

    yield start_one
    for engine in engines:
        await engine.close()


async def greedy(engine: ExllamaEngine, ask: Ask) -> list[str]:
    """Return the answers to the questions, asked together."""
    found = await asyncio.gather(*(ask(engine, one, temperature=0) for one in QUESTIONS))
    return [answered.text for answered in found]


@EACH
async def test_it_answers_as_on_other_engines(start: Start, ask: Ask, backend: str) -> None:
    """Word for word, together and alone."""
    engine = await start(backend)
    assert engine.capabilities.device.startswith("cuda:0")
    assert engine.capabilities.memory_bytes > 0
    assert await greedy(engine, ask) == ANSWERS
    assert [(await ask(engine, one, temperature=0)).text for one in QUESTIONS] == ANSWERS


@EACH
@pytest.mark.parametrize("cache", ["q8", "q6", "q4"])
async def test_a_smaller_cache_changes_little(
    start: Start, ask: Ask, backend: str, cache: str
) -> None:
    """Keys and values in fewer bits still say nearly the same."""
    engine = await start(backend, cache=cache)
    answers = await greedy(engine, ask)
    assert sum(one == other for one, other in zip(answers, ANSWERS, strict=True)) >= 2


@EACH
async def test_seeds_repeat(start: Start, ask: Ask, backend: str) -> None:
    """And other seeds say something else."""
    engine = await start(backend)
    wishes = {"temperature": 1.8, "top_p": 1.0, "top_k": 0, "max_tokens": 40}
    first, again, other = [
        (await ask(engine, QUESTIONS[0], seed=seed, **wishes)).text for seed in (1, 1, 2)
    ]
    assert first == again != other


@EACH
async def test_a_long_answer_goes_on_from_page_to_page(
    start: Start, ask: Ask, backend: str
) -> None:
    """And who leaves in the middle frees them."""
    engine = await start(backend, answer_pages=1)
    answered = await ask(engine, QUESTIONS[3], temperature=1.5, ignore_eos=True, max_tokens=700)
    assert answered.usage.completion_tokens == 700
    events = engine.generate(ChatRequest("m", [Message("user", "Hello!")], ignore_eos=True))
    await anext(events)
    await events.aclose()
    assert engine.health().running == 0


@EACH
async def test_a_cancelled_engine_says_so(start: Start, ask: Ask, backend: str) -> None:
    """What runs when it is closed is told."""
    engine = await start(backend)
    running = asyncio.create_task(ask(engine, "Hello!", ignore_eos=True, max_tokens=900))
    while engine.health().running == 0:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    await engine.close()
    with pytest.raises(EngineDead):
        await running


@EACH
async def test_it_sees(start: Start, ask: Ask, backend: str, tmp_path: Path) -> None:
    """By a tower with random weights: an image brings the same answer each time, its tokens and no other's."""
    from tests.backends.exllama.ring_two.seeing import make_seeing_model

    engine = await start(backend, make_seeing_model(tmp_path / "m"))
    assert engine.capabilities.images
    asked = [
        about(*(plain(color) for color in colors), "What is it?")
        for colors in (["red"], ["blue"], ["red", "blue"], ["blue", "red"])
    ]
    wishes = {"temperature": 0, "max_tokens": 24, "logprobs": True, "top_logprobs": 1}
    alone = [await ask(engine, one, **wishes) for one in asked]
    together = await asyncio.gather(*(ask(engine, one, **wishes) for one in asked))
    assert [one.text for one in together] == [one.text for one in alone]
    assert len({one.logprobs()[0].logprob for one in alone}) == len(asked)
    text = await ask(engine, "What is it?", **wishes)
    counts = [one.usage.prompt_tokens - text.usage.prompt_tokens for one in alone]
    assert counts == [9, 9, 18, 18]
    again = await ask(engine, asked[2], **wishes)
    assert again.usage.cached_tokens > 0


@needs("exllamav2")
async def test_the_model_can_be_quantized_and_served(
    start: Start, ask: Ask, tmp_path: Path
) -> None:
    """By the package's own converter, at six bits."""
    for folder in ("quick", "work"):
        (tmp_path / folder).mkdir()
    (tmp_path / "quick" / "fastparquet.py").touch()  # imported for a choice that is not made
    done = await asyncio.to_thread(
        subprocess.run,
        [
            *(sys.executable, "-m", "exllamav2.conversion.convert_exl2", "-nr"),
            *("-i", str(MODEL), "-o", str(tmp_path / "work"), "-cf", str(tmp_path / "exl2")),
            *("-b", "6.0", "-hb", "8", "-r", "8", "-mr", "4", "-l", "512", "-ml", "512"),
        ],
        env=os.environ | {"PYTHONPATH": f"{tmp_path / 'quick'}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    engine = await start("exllamav2", tmp_path / "exl2")
    answers = await greedy(engine, ask)
    assert sum(one == other for one, other in zip(answers, ANSWERS, strict=True)) >= 2
