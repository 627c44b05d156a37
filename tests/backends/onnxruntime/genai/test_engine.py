"""onnxruntime-genai's own engine with the shipped model: the same answers as ours, and nothing dropped."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hoonify_backends.generation.defaults import SamplingDefaults
from hoonify_backends.onnxruntime.engine import OnnxEngine
from hoonify_backends.onnxruntime.genai.engine import GenaiEngine
from hoonify_backends.onnxruntime.genai.options import UNKNOWN, GenaiOptions
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_router.errors import ContextLengthExceeded, ModelUnavailable, Overloaded
from hoonify_router.types import ChatRequest, Message, Text

pytest.importorskip("onnxruntime_genai", reason="onnxruntime-genai is not installed")

GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 24}
QUESTIONS = ["Hello!", "What is a KV cache?", "Name three animals."]
Ask = Callable[..., Awaitable[Any]]
Start = Callable[..., Awaitable[GenaiEngine]]


@pytest.fixture
async def start(model_path: Path) -> AsyncIterator[Start]:
    """``await start(slots=2)``: a loaded engine, closed after the test."""
    started: list[GenaiEngine] = []

    async def start(**wishes: Any) -> GenaiEngine:
        engine = GenaiEngine()
        options = {"model": str(model_path), "threads": 1, "slots": 4, **wishes}
        await engine.load(GenaiOptions(**options), lambda *stage: None)
        started.append(engine)
        return engine

    yield start
    for engine in started:
        await engine.close()


async def test_greedy_answers_are_those_of_our_own_loop(
    start: Start, ask: Ask, model_path: Path
) -> None:
    """Text, end and counts, alone and together."""
    engine, ours = await start(), OnnxEngine()
    await ours.load(OnnxOptions(str(model_path), provider="cpu", threads=1), lambda *stage: None)
    try:
        expected = [await ask(ours, question, **GREEDY) for question in QUESTIONS]
    finally:
        await ours.close()
    alone = [await ask(engine, question, **GREEDY) for question in QUESTIONS]
    together = await asyncio.gather(*(ask(engine, question, **GREEDY) for question in QUESTIONS))
    for answers in (alone, together):
        for answered, wanted in zip(answers, expected, strict=True):
            assert (answered.text, answered.finish) == (wanted.text, wanted.finish)
            assert answered.usage.prompt_tokens == wanted.usage.prompt_tokens
            assert answered.usage.completion_tokens == wanted.usage.completion_tokens


async def test_limits_and_stop_strings_end_an_answer(start: Start, ask: Ask) -> None:
    """The library's engine knows no stop strings here: the router's own are used."""
    engine = await start()
    whole = await ask(engine, QUESTIONS[1], temperature=0)
    assert whole.finish == "stop"
    short = await ask(engine, QUESTIONS[1], temperature=0, max_tokens=5)
    assert (short.finish, short.usage.completion_tokens) == ("length", 5)
    assert whole.text.startswith(short.text)
    word = whole.text.split()[3]
    cut = await ask(engine, QUESTIONS[1], temperature=0, stop=[word])
    assert cut.finish == "stop"
    assert cut.text == whole.text[: whole.text.index(word)]


async def test_an_answer_can_be_made_to_go_on(start: Start, ask: Ask) -> None:
    """As benchmarks want it."""
    answered = await ask(await start(), "Hello!", temperature=0, max_tokens=60, ignore_eos=True)
    assert (answered.finish, answered.usage.completion_tokens) == ("length", 60)


async def test_several_answers_and_sampling(start: Start, ask: Ask) -> None:
    """``n`` answers are as many requests to the engine; with randomness they differ."""
    answered = await ask(
        await start(), QUESTIONS[1], n=8, temperature=2, top_p=1, top_k=0, max_tokens=20
    )
    assert len(answered.texts) == 8
    assert len(set(answered.texts)) > 1


async def test_more_requests_than_slots_wait(start: Start, ask: Ask) -> None:
    """And one too many is refused."""
    engine = await start(slots=2, max_waiting=4)
    answers = await asyncio.gather(*(ask(engine, "Hello!", **GREEDY) for _ in range(6)))
    assert len({answered.text for answered in answers}) == 1
    with pytest.raises(Overloaded):
        await asyncio.gather(*(ask(engine, "Hello!", **GREEDY) for _ in range(7)))


async def test_an_abandoned_answer_gives_its_slot_back(start: Start, ask: Ask) -> None:
    """Others go on, and the engine has nothing to do afterwards."""
    engine = await start()
    wishes = {"max_tokens": 900, "ignore_eos": True, "temperature": 0}
    request = ChatRequest("tiny-chat", [Message("user", "Count.")], **wishes)
    events = engine.generate(request)
    assert isinstance(await anext(events), Text)
    other = asyncio.create_task(ask(engine, "Hello!", **GREEDY))
    await events.aclose()  # type: ignore[attr-defined]
    assert (await other).finish == "stop"
    assert engine.health().running == 0


async def test_a_prompt_that_is_too_long_is_refused(start: Start, ask: Ask) -> None:
    """Before the engine hears of it."""
    with pytest.raises(ContextLengthExceeded, match="maximum context length is 64 tokens"):
        await ask(await start(max_length=64), "word " * 200)


async def test_what_the_engine_cannot_do_is_not_among_its_capabilities(start: Start) -> None:
    """So the router refuses it by name; a seed needs continuous batching, which needs a GPU."""
    engine = await start()
    assert not engine.capabilities.parameters & UNKNOWN
    assert engine.capabilities.details["batching"] == "static"
    assert (engine.capabilities.slots, engine.capabilities.context_length) == (4, 1024)
    assert engine.capabilities.device == "cpu"


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"model": "/nowhere"}, "no folder /nowhere"),
        ({"max_length": 5000}, "max_length: 5000 is over the model's 1024"),
        ({"provider": "cuda"}, "provider: cuda is set, but "),
        ({"sampling": SamplingDefaults(min_p=0.1)}, "min_p is nothing that"),
    ],
)
async def test_what_cannot_be_loaded_says_why(
    start: Start, monkeypatch: pytest.MonkeyPatch, wishes: dict[str, Any], reason: str
) -> None:
    """In words for an operator."""
    monkeypatch.setattr(
        "hoonify_backends.onnxruntime.genai.loading.has_nvidia_device", lambda: False
    )
    with pytest.raises(ModelUnavailable) as caught:
        await start(**wishes)
    assert reason in str(caught.value)


async def test_a_model_that_was_exported_for_gpus_runs_on_the_cpu_where_there_is_none(
    start: Start, ask: Ask, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``provider: auto``, like the other engine."""
    monkeypatch.setattr(
        "hoonify_backends.onnxruntime.genai.loading.has_nvidia_device", lambda: False
    )
    folder = tmp_path / "model"
    shutil.copytree(model_path, folder)
    config = json.loads((folder / "genai_config.json").read_text())
    config["model"]["decoder"]["session_options"]["provider_options"] = [{"cuda": {}}]
    (folder / "genai_config.json").write_text(json.dumps(config))
    engine = await start(model=str(folder))
    assert engine.capabilities.device == "cpu"
    assert (await ask(engine, "Hello!", **GREEDY)).finish == "stop"
