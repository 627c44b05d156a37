"""The real ExLlamaV2 on a CPU: its scheduler, cache, tokenizer and sampler, with a stand-in for what needs a GPU."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.backends.exllama.ring_two.engine import CpuExLlamaV2Engine
from tests.backends.exllama.ring_two.package import exllamav2, torch
from tests.backends.exllama.ring_two.plain import MODEL, QUESTIONS, Plain

from hoonify_backends.exllama.architectures import ARCHITECTURES
from hoonify_backends.exllama.options import PAGE, ExllamaOptions
from hoonify_backends.generation.sampling import Sampling
from hoonify_router.errors import ContextLengthExceeded, EngineDead, OutOfMemory
from hoonify_router.types import ChatRequest, Message

Ask = Callable[..., Any]
pytestmark = pytest.mark.timeout(600)
Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start engines with some options; they are closed after the test."""
    engines: list[CpuExLlamaV2Engine] = []

    async def start_one(
        model: Path = MODEL,
        *,
        paged: bool = True,
        on_fatal: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> CpuExLlamaV2Engine:
        engine = CpuExLlamaV2Engine(on_fatal, paged=paged)
        engines.append(engine)
        await engine.load(ExllamaOptions(str(model), **options), lambda *stage: None)
        return engine

    yield start_one
    for engine in engines:
        await engine.close()


# ------------------------------------------------------------------ what we lean on


def test_it_is_the_version_that_this_was_written_for() -> None:
    """Another one has to be looked at: these are what is used of it."""
    from exllamav2.generator import ExLlamaV2DynamicGenerator, ExLlamaV2DynamicJob

    assert exllamav2.__version__ == "0.3.2"
    for what, names in (
        (ExLlamaV2DynamicJob, ("input_ids", "max_new_tokens", "gen_settings", "filters")),
        (
            ExLlamaV2DynamicGenerator,
            ("max_batch_size", "max_chunk_size", "max_q_size", "paged", "filter_background_eval"),
        ),
        (exllamav2.ExLlamaV2.load_autosplit, ("cache", "callback")),
        (exllamav2.ExLlamaV2.load, ("gpu_split", "callback")),
        (
            exllamav2.ExLlamaV2.load_tp,
            ("gpu_split", "callback", "expect_cache_tokens", "expect_cache_base"),
        ),
        (exllamav2.ExLlamaV2Cache_TP, ("base", "max_seq_len")),
        (exllamav2.ExLlamaV2Cache_Q6, ("max_seq_len", "lazy")),
    ):
        assert set(names) <= set(inspect.signature(what).parameters), what


def test_the_architectures_are_those_that_it_knows() -> None:
    """Any other is loaded as a Llama by this package, so we refuse it."""
    source = Path(exllamav2.__file__).with_name("architecture.py").read_text()
    assert set(re.findall(r'arch_string == "(\w+)"', source)) == ARCHITECTURES - {
        "LlamaForCausalLM"
    }
    assert "Loading as LlamaForCausalLM" in source


# ------------------------------------------------------------------ answers


@pytest.mark.parametrize("paged", [True, False])
@pytest.mark.parametrize(
    "wishes",
    [
        {"temperature": 0.0},
        {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "seed": 1},
        {"temperature": 2.0, "top_p": 0.9, "top_k": 0, "seed": 2},
        {"temperature": 1.5, "top_p": 1.0, "top_k": 5, "seed": 3},
        {"temperature": 1.5, "top_p": 1.0, "top_k": 0, "min_p": 0.2, "seed": 4},
        {"temperature": 0.0, "frequency_penalty": 1.5, "presence_penalty": 0.5},
        {"temperature": 0.0, "repetition_penalty": 1.8},
    ],
    ids=repr,
)
async def test_its_answers_are_plain_sampling_of_plain_scores(
    start: Start, ask: Ask, paged: bool, wishes: dict[str, Any]
) -> None:
    """Nothing of its own sampling takes part, and no key or value is in a wrong place."""
    engine = await start(paged=paged, slots=4)
    plain = Plain(engine.model)
    for question in QUESTIONS[1:3]:
        chosen = {"top_p": 0.9, "top_k": 40} | wishes  # the model's makers' own
        answered = await ask(engine, question, max_tokens=20, **wishes)
        assert answered.text == plain.answer(question, Sampling(**chosen), 20)


async def test_without_wishes_the_models_own_or_neutral_sampling_counts(
    start: Start, ask: Ask, tmp_path: Path
) -> None:
    """The package's own defaults cut what is likely and punish what was said."""
    model = tmp_path / "m"
    shutil.copytree(MODEL, model)
    (model / "generation_config.json").write_text('{"eos_token_id": 1, "do_sample": true}')
    engine = await start(model)
    answered = await ask(engine, QUESTIONS[1], seed=5, max_tokens=40)
    assert answered.text == Plain(engine.model).answer(QUESTIONS[1], Sampling(seed=5))


async def test_top_p_keeps_what_is_likely(start: Start, ask: Ask) -> None:
    """Of 0.5, 0.45, 0.03 and 0.02 it keeps two; the package's own keeps the first and the last two."""
    engine = await start()
    scores = torch.full((1280,), -1e9)
    scores[[10, 11, 12, 13]] = torch.tensor([0.5, 0.45, 0.03, 0.02]).log()

    def forward_chunk(input_ids: torch.Tensor, **rest: Any) -> dict[str, torch.Tensor]:
        return {"logits": scores.expand(*input_ids.shape, -1)}

    engine.generator.model.forward_chunk = forward_chunk
    answered = await ask(
        engine,
        "Hello",
        temperature=1.0,
        top_p=0.9,
        top_k=0,
        seed=1,
        max_tokens=200,
        logprobs=True,
    )
    seen = {round(float(np.exp(one.logprob)), 2) for one in answered.logprobs()}
    assert seen == {0.5, 0.45}


@pytest.mark.parametrize("paged", [True, False])
async def test_company_changes_nothing(start: Start, ask: Ask, paged: bool) -> None:
    """Answers share steps where the cache is paged, and are as they are alone."""
    engine = await start(paged=paged, slots=6, cache_tokens=6 * 1024)
    alone = [(await ask(engine, one, temperature=0)).text for one in QUESTIONS]
    together = await asyncio.gather(*(ask(engine, one, temperature=0) for one in QUESTIONS * 2))
    assert [answered.text for answered in together] == alone * 2
    assert (max(rows for rows, _ in engine.model.calls) > 1) is paged
    assert engine.capabilities.slots == (6 if paged else 1)
    assert ("flash-attn" in engine.capabilities.details["batching"]) is not paged


async def test_a_long_answer_takes_its_pages_bit_by_bit(start: Start, ask: Ask) -> None:
    """In several sequences, of which each finds the pages of the last."""
    texts = []
    for pages in (1, 4):
        engine = await start(answer_pages=pages, cache_tokens=4096)
        begun = engine.generator.job_serial
        answered = await ask(
            engine, QUESTIONS[2], temperature=1.5, seed=1, ignore_eos=True, max_tokens=800
        )
        assert answered.usage.completion_tokens == 800
        assert engine.generator.job_serial - begun == (4 if pages == 1 else 1)
        texts.append(answered.text)
        read = sum(tokens for rows, tokens in engine.model.calls)
        assert read < 900 + 20 * engine.generator.job_serial  # hardly anything is read twice
    assert texts[0] == texts[1]


async def test_a_prompt_that_was_read_is_found_again(start: Start, ask: Ask) -> None:
    """Whole pages of it, and the answer is the same."""
    engine = await start()
    long = "the quiet robot sings outside and " * 60
    first = await ask(engine, long, temperature=0, max_tokens=8)
    again = await ask(engine, long, temperature=0, max_tokens=8)
    assert first.usage.cached_tokens < PAGE
    assert again.usage.cached_tokens >= PAGE
    assert again.usage.cached_tokens <= again.usage.prompt_tokens
    assert again.text == first.text


async def test_a_small_cache_serves_more_than_it_holds(start: Start, ask: Ask) -> None:
    """Pages are used again and moved about, and every answer is right."""
    engine = await start(context_length=512, cache_tokens=1024, slots=4)
    plain = Plain(engine.model)
    asked = [f"Count from {first} to {first + 9}." for first in range(1, 25)]
    answers = await asyncio.gather(*(ask(engine, one, temperature=0) for one in asked))
    for question, answered in zip(asked, answers, strict=True):
        assert answered.text == plain.answer(question, Sampling(temperature=0), 60)
    assert not engine.generator.referenced_pages


async def test_log_probabilities_are_the_models_own(start: Start, ask: Ask) -> None:
    """Not those of what was left after the request's wishes."""
    engine = await start()
    plain = Plain(engine.model)
    answered = await ask(
        engine,
        QUESTIONS[3],
        temperature=0,
        logit_bias={"40": -50},
        logprobs=True,
        top_logprobs=3,
        max_tokens=3,
    )
    scores = torch.from_numpy(plain.scores(plain.prompt(QUESTIONS[3]))).log_softmax(-1)
    first = answered.logprobs()[0]
    assert [one for _, one in first.top] == pytest.approx(scores.topk(3).values.tolist(), abs=1e-3)


async def test_answers_of_a_form(start: Start, ask: Ask) -> None:
    """Kept token by token, many at once."""
    engine = await start(slots=4)
    schema = {
        "type": "object",
        "properties": {"animal": {"enum": ["cat", "dog"]}, "count": {"type": "integer"}},
        "required": ["animal", "count"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    answers = await asyncio.gather(
        *(
            ask(engine, one, temperature=1.5, seed=7, response_format=form, max_tokens=120)
            for one in QUESTIONS
        )
    )
    told = [json.loads(one.text) for one in answers if one.finish == "stop"]
    assert told
    assert all(set(one) == {"animal", "count"} for one in told)


# ------------------------------------------------------------------ its known faults


async def test_a_stop_string_at_the_limit_is_not_shown(start: Start, ask: Ask) -> None:
    """The package shows one that the last allowed token completes."""
    engine = await start()
    for limit in range(1, 9):
        answered = await ask(engine, QUESTIONS[3], temperature=0, stop=["dog"], max_tokens=limit)
        assert "dog" not in answered.text
        assert "Cat, do".startswith(answered.text)


async def test_text_held_back_for_a_stop_string_is_not_lost(start: Start, ask: Ask) -> None:
    """The package drops it where the answer ends by a token."""
    engine = await start()
    answered = await ask(engine, QUESTIONS[3], temperature=0, stop=["dog and horse.!"])
    assert (answered.text, answered.finish) == ("Cat, dog and horse.", "stop")


async def test_no_conversation_is_longer_than_the_table_of_positions(
    start: Start, ask: Ask
) -> None:
    """The package looks at pages only."""
    engine = await start(context_length=300, cache_tokens=2048)
    with pytest.raises(ContextLengthExceeded):
        await ask(engine, "word " * 400)
    answered = await ask(engine, "Hello!", temperature=0, ignore_eos=True, max_tokens=5000)
    usage = answered.usage
    assert usage.prompt_tokens + usage.completion_tokens == 300
    assert engine.generator.model.config.max_seq_len >= 300


async def test_positions_in_newer_words_are_not_lost(start: Start, tmp_path: Path) -> None:
    """The package itself would take 10000 for a base of 500000, without a word."""
    model = tmp_path / "m"
    shutil.copytree(MODEL, model)
    config = json.loads((model / "config.json").read_text())
    del config["rope_theta"]
    config["rope_parameters"] = {"rope_theta": 500000.0, "rope_type": "default"}
    (model / "config.json").write_text(json.dumps(config))
    assert exllamav2.ExLlamaV2Config(str(model)).rotary_embedding_base == 10000
    engine = await start(model)
    assert engine.generator.model.config.rotary_embedding_base == 500000


# ------------------------------------------------------------------ failures


async def test_a_client_that_leaves_frees_its_pages(start: Start) -> None:
    """In the middle of an answer, and while it waits."""
    engine = await start(slots=1)
    request = ChatRequest("m", [Message("user", "Hello!")], ignore_eos=True, max_tokens=900)
    running, waiting = engine.generate(request), engine.generate(request)
    await anext(running)
    late = asyncio.ensure_future(anext(waiting))
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    await running.aclose()
    assert not engine.generator.num_remaining_jobs()
    assert not engine.generator.referenced_pages


async def test_memory_that_ran_out_costs_one_answer(start: Start, ask: Ask) -> None:
    """The others go on with the tokens that they would have had."""
    engine = await start(slots=6, cache_tokens=6 * 1024)
    alone = [(await ask(engine, one, temperature=0)).text for one in QUESTIONS]
    for prompts_read in (0, 8):
        asked = [asyncio.create_task(ask(engine, one, temperature=0)) for one in QUESTIONS]
        calls = len(engine.model.calls)
        while len(engine.model.calls) < calls + prompts_read:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        engine.model.failures.append(torch.OutOfMemoryError("CUDA out of memory."))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        failed = [one for one in answers if isinstance(one, BaseException)]
        assert [type(one) for one in failed] in ([], [OutOfMemory])
        for expected, answered in zip(alone, answers, strict=True):
            assert isinstance(answered, OutOfMemory) or answered.text == expected
        engine.model.failures.clear()
    assert not engine.generator.referenced_pages


async def test_a_bug_costs_the_answers_of_that_moment(start: Start, ask: Ask) -> None:
    """The package's own wrapper would let every later request wait for ever."""
    engine = await start()
    engine.model.failures.append(ValueError("a bug"))
    with pytest.raises(EngineDead):
        await ask(engine, QUESTIONS[0])
    assert (await ask(engine, QUESTIONS[3], temperature=0)).text == "Cat, dog and horse."


async def test_a_failed_gpu_ends_the_worker(start: Start, ask: Ask) -> None:
    """Nothing in the process can use it any more."""
    fatal = asyncio.Event()
    engine = await start(on_fatal=fatal.set)
    engine.model.failures.append(RuntimeError("CUDA error: an illegal memory access"))
    with pytest.raises(EngineDead):
        await ask(engine, QUESTIONS[0])
    await fatal.wait()
