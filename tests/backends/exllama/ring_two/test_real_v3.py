"""The real ExLlamaV3 on a CPU: its scheduler and cache, with a stand-in for what needs a GPU."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.backends.exllama.ring_two.engine_v3 import CpuExLlamaV3Engine
from tests.backends.exllama.ring_two.package_v3 import exllamav3, torch
from tests.backends.exllama.ring_two.plain import MODEL, QUESTIONS, Plain

from hoonify_backends.exllama.options import PAGE, ExllamaOptions
from hoonify_backends.generation.sampling import Sampling
from hoonify_router.errors import EngineDead, OutOfMemory
from hoonify_router.types import ChatRequest, Message

Ask = Callable[..., Any]
pytestmark = pytest.mark.timeout(600)
Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start engines with some options; they are closed after the test."""
    engines: list[CpuExLlamaV3Engine] = []

    async def start_one(
        on_fatal: Callable[[], None] = lambda: None, **options: Any
    ) -> CpuExLlamaV3Engine:
        engine = CpuExLlamaV3Engine(on_fatal)
        engines.append(engine)
        await engine.load(ExllamaOptions(str(MODEL), **options), lambda *stage: None)
        return engine

    yield start_one
    for engine in engines:
        await engine.close()


def test_it_has_what_is_used_of_it() -> None:
    """Another version has to be looked at."""
    for what, names in (
        (exllamav3.Job, ("input_ids", "max_new_tokens", "sampler")),
        (
            exllamav3.Generator,
            ("model", "cache", "tokenizer", "max_batch_size", "max_chunk_size"),
        ),
        (exllamav3.Cache, ("max_num_tokens", "layer_type", "max_batch_size")),
        (exllamav3.CacheLayer_quant, ("k_bits", "v_bits")),
        (
            exllamav3.Model.load_gen,
            ("use_per_device", "tensor_p", "max_chunk_size", "max_batch_size", "callback"),
        ),
    ):
        assert set(names) <= set(inspect.signature(what).parameters), what


@pytest.mark.parametrize(
    "wishes",
    [
        {"temperature": 0.0},
        {"temperature": 2.0, "top_p": 0.9, "top_k": 0, "seed": 2},
        {"temperature": 0.0, "frequency_penalty": 1.5, "presence_penalty": 0.5},
    ],
    ids=repr,
)
async def test_its_answers_are_plain_sampling_of_plain_scores(
    start: Start, ask: Ask, wishes: dict[str, Any]
) -> None:
    """Nothing of its own sampling takes part, and no key or value is in a wrong place."""
    engine = await start(slots=4)
    plain = Plain(engine.model)
    for question in QUESTIONS[1:3]:
        chosen = {"top_p": 0.9, "top_k": 40} | wishes  # the model's makers' own
        answered = await ask(engine, question, max_tokens=20, **wishes)
        assert answered.text == plain.answer(question, Sampling(**chosen), 20)


async def test_company_changes_nothing(start: Start, ask: Ask) -> None:
    """Answers share steps, and are as they are alone."""
    engine = await start(slots=6, cache_tokens=6 * 1024)
    alone = [(await ask(engine, one, temperature=0)).text for one in QUESTIONS]
    together = await asyncio.gather(*(ask(engine, one, temperature=0) for one in QUESTIONS * 2))
    assert [answered.text for answered in together] == alone * 2
    assert max(rows for rows, _ in engine.model.calls) > 1


async def test_a_long_answer_takes_its_pages_bit_by_bit(start: Start, ask: Ask) -> None:
    """In several sequences, of which each finds the pages of the last."""
    texts = []
    for pages in (1, 4):
        engine = await start(answer_pages=pages, cache_tokens=4096)
        answered = await ask(
            engine, QUESTIONS[2], temperature=1.5, seed=1, ignore_eos=True, max_tokens=600
        )
        assert answered.usage.completion_tokens == 600
        texts.append(answered.text)
    assert texts[0] == texts[1]


async def test_the_whole_context_can_be_used(start: Start, ask: Ask) -> None:
    """The engine keeps a token of its cache to itself, so the cache is larger."""
    engine = await start(context_length=512, cache_tokens=512)
    answered = await ask(engine, "Hello!", temperature=0, ignore_eos=True)
    assert answered.usage.prompt_tokens + answered.usage.completion_tokens == 512
    assert answered.finish == "length"


async def test_a_prompt_that_was_read_is_found_again(start: Start, ask: Ask) -> None:
    """Whole pages of it, and the answer is the same."""
    engine = await start(cache_tokens=4096)
    long = "the quiet robot sings outside and " * 60
    first = await ask(engine, long, temperature=0, max_tokens=8)
    again = await ask(engine, long, temperature=0, max_tokens=8)
    assert first.usage.cached_tokens < PAGE <= again.usage.cached_tokens
    assert again.text == first.text


async def test_a_client_that_leaves_frees_its_pages(start: Start) -> None:
    """In the middle of an answer."""
    engine = await start()
    request = ChatRequest("m", [Message("user", "Hello!")], ignore_eos=True, max_tokens=900)
    events = engine.generate(request)
    await anext(events)
    await events.aclose()
    assert not engine.generator.num_remaining_jobs()
    assert (
        engine.generator.pagetable.num_unreferenced_pages() == engine.generator.pagetable.max_pages
    )


async def test_memory_that_ran_out_costs_one_answer(start: Start, ask: Ask) -> None:
    """Whether a prompt was read, which the engine tells of one sequence, or all got a token."""
    engine = await start(slots=6, cache_tokens=6 * 1024)
    alone = [(await ask(engine, one, temperature=0)).text for one in QUESTIONS]
    for calls_before in (0, 9):
        asked = [asyncio.create_task(ask(engine, one, temperature=0)) for one in QUESTIONS]
        calls = len(engine.model.calls)
        while len(engine.model.calls) < calls + calls_before:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        engine.model.failures.append(torch.OutOfMemoryError("CUDA out of memory."))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        failed = [one for one in answers if isinstance(one, BaseException)]
        assert [type(one) for one in failed] in ([], [OutOfMemory])
        for expected, answered in zip(alone, answers, strict=True):
            assert isinstance(answered, OutOfMemory) or answered.text == expected
        engine.model.failures.clear()


async def test_a_bug_costs_the_answers_of_that_moment(start: Start, ask: Ask) -> None:
    """And no later one."""
    engine = await start()
    engine.model.failures.append(ValueError("a bug"))
    with pytest.raises(EngineDead):
        await ask(engine, QUESTIONS[0])
    assert (await ask(engine, QUESTIONS[3], temperature=0)).text == "Cat, dog and horse."


async def test_a_failed_gpu_ends_the_worker(start: Start, ask: Ask) -> None:
    """Also where the engine would confine it to one sequence."""
    fatal = asyncio.Event()
    engine = await start(on_fatal=fatal.set)
    engine.model.failures.append(RuntimeError("CUDA error: an illegal memory access"))
    with pytest.raises(EngineDead):
        await ask(engine, QUESTIONS[0])
    await fatal.wait()
