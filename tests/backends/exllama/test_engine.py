"""From a request to its events, with the shipped model's words and a generator by script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.backends.exllama.folders import make_model
from tests.backends.exllama.scripted import ScriptedGenerator

from hoonify_backends.exllama.checkpoint import Checkpoint
from hoonify_backends.exllama.engine import ExllamaEngine, Opened
from hoonify_backends.exllama.limits import Limits
from hoonify_backends.exllama.options import ExllamaOptions
from hoonify_backends.generation.parameters import PARAMETERS
from hoonify_router.api import ProgressCallback
from hoonify_router.errors import (
    ContextLengthExceeded,
    EngineDead,
    InvalidValue,
    ModelUnavailable,
    OutOfMemory,
    Overloaded,
)
from hoonify_router.types import ChatRequest, Message

MODEL = Path(__file__).resolve().parents[3] / "models" / "tiny-chat" / "hf"
Ask = Callable[..., Any]


class ScriptedEngine(ExllamaEngine):
    """Says a sentence, then the token that ends an answer.

    Args:
        sentence: What it says to everything.
        on_fatal: See ``ExllamaEngine``.
    """

    backend = "exllamav2"

    def __init__(
        self,
        sentence: str = "One fox, two foxes.",
        on_fatal: Callable[[], None] = lambda: None,
        **generator: Any,
    ) -> None:
        super().__init__(on_fatal)
        self._sentence = sentence
        self._settings = generator

    def open(
        self,
        options: ExllamaOptions,
        checkpoint: Checkpoint,
        limits: Limits,
        progress: ProgressCallback,
    ) -> Opened:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer))
        says = [*tokenizer.encode(self._sentence, add_special_tokens=False).ids, 1]

        def after(tokens: Sequence[int]) -> int:
            for length in range(len(says) - 1, 0, -1):
                if list(tokens[-length:]) == says[:length]:
                    return says[length]
            return says[0]

        self.generator = ScriptedGenerator(
            after, vocabulary=1280, pages=limits.pages, slots=options.slots, **self._settings
        )
        progress("loading weights", 1, 1)
        return Opened(self.generator, 1280, options.slots, "cuda:0 (script)", 5, {"cache": "fp16"})


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    """Start engines with some options; they are closed after the test."""
    engines: list[ScriptedEngine] = []

    async def start_one(engine: ScriptedEngine | None = None, **options: Any) -> ScriptedEngine:
        engine = engine or ScriptedEngine()
        engines.append(engine)
        await engine.load(ExllamaOptions(str(MODEL), **options), lambda *stage: None)
        return engine

    yield start_one
    for engine in engines:
        await engine.close()


async def test_an_answer(start: Callable[..., Any], ask: Ask) -> None:
    """Its text, why it ended, what it took."""
    engine = await start()
    answered = await ask(engine, "Hello", temperature=0)
    assert (answered.text, answered.finish) == ("One fox, two foxes.", "stop")
    assert answered.usage.prompt_tokens > 0
    assert answered.usage.completion_tokens > 0
    assert engine.generator.idle


async def test_what_it_can_do(start: Callable[..., Any]) -> None:
    """All parameters that engines of this kind honour."""
    engine = await start(context_length=512, slots=3)
    told = engine.capabilities
    assert told.parameters == PARAMETERS
    assert (told.context_length, told.slots, told.memory_bytes) == (512, 3, 5)
    assert told.details["cache_tokens"] == "512"


async def test_stop_strings_are_never_shown(start: Callable[..., Any], ask: Ask) -> None:
    """Also where the last token that is allowed completes one; the engines show it then."""
    engine = await start()
    for limit in range(1, 12):
        answered = await ask(engine, "Hello", temperature=0, stop=["two"], max_tokens=limit)
        assert "two" not in answered.text
        assert "One fox, ".startswith(answered.text)


async def test_text_that_might_have_been_a_stop_string_is_not_lost(
    start: Callable[..., Any], ask: Ask
) -> None:
    """The answer ends while its last letters are held back; ExLlamaV2 drops them."""
    engine = await start()
    answered = await ask(engine, "Hello", temperature=0, stop=["foxes.!", "s. And"])
    assert (answered.text, answered.finish) == ("One fox, two foxes.", "stop")


async def test_defaults_are_the_models_own_or_neutral(
    start: Callable[..., Any], ask: Ask, tmp_path: Path
) -> None:
    """Never the engine's: ExLlamaV2's cut likely tokens and punish repetition."""
    from hoonify_backends.exllama.checkpoint import Suggestion
    from hoonify_backends.generation.defaults import SamplingDefaults, default_sampling
    from hoonify_backends.generation.sampling import Sampling

    neutral = default_sampling(SamplingDefaults(), Suggestion(do_sample=True))
    assert neutral == Sampling()
    own = default_sampling(SamplingDefaults(top_p=0.5), Suggestion(do_sample=True, temperature=0.3))
    assert (own.temperature, own.top_p) == (0.3, 0.5)


async def test_a_conversation_that_is_too_long_is_refused(
    start: Callable[..., Any], ask: Ask
) -> None:
    """The engines look at their pages only, and would read past the table of positions."""
    engine = await start(context_length=64)
    with pytest.raises(ContextLengthExceeded, match="64 tokens"):
        await ask(engine, "word " * 80)
    assert engine.generator.idle
    answered = await ask(engine, "Hello", temperature=0, max_tokens=100_000, ignore_eos=True)
    assert answered.finish == "length"
    assert answered.usage.prompt_tokens + answered.usage.completion_tokens == 64


async def test_answers_without_a_limit_do_not_fill_the_cache(
    start: Callable[..., Any], ask: Ask
) -> None:
    """Many run at once, though each might become as long as the context."""
    engine = await start(slots=4, answer_pages=1)
    engine.generator.may_step.clear()
    asked = [asyncio.create_task(ask(engine, f"Hello {n}", temperature=0)) for n in range(4)]
    while engine.health().running < 4:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)
    engine.generator.may_step.set()
    await asyncio.gather(*asked)
    assert max(engine.generator.together) == 4


async def test_several_answers_and_their_logprobs(start: Callable[..., Any], ask: Ask) -> None:
    """As the model gives them, before anything changes them."""
    engine = await start()
    answered = await ask(
        engine, "Hello", n=2, temperature=0, logprobs=True, top_logprobs=2, logit_bias={"0": -100}
    )
    assert answered.texts == ["One fox, two foxes."] * 2
    told = answered.logprobs(1)
    assert b"".join(one.token for one in told).decode() == answered.texts[1]
    assert all(len(one.top) == 2 and one.logprob > -0.2 for one in told)


async def test_an_answer_of_a_form(start: Callable[..., Any], ask: Ask) -> None:
    """Whatever the model would say, the schema is kept."""
    engine = await start()
    schema = {
        "type": "object",
        "properties": {"fox": {"type": "boolean"}},
        "required": ["fox"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    answered = await ask(engine, "Hello", temperature=0, response_format=form, max_tokens=60)
    assert json.loads(answered.text)["fox"] in (True, False)
    assert answered.finish == "stop"


async def test_completions_go_on_with_each_prompt(start: Callable[..., Any], complete: Ask) -> None:
    """Without a template."""
    engine = await start()
    answered = await complete(engine, ["One", "Two"], temperature=0, max_tokens=40)
    assert answered.texts == [" fox, two foxes.", "One fox, two foxes."]


async def test_memory_that_ran_out_costs_one_request(start: Callable[..., Any], ask: Ask) -> None:
    """The others, and those that follow, are answered."""
    engine = await start()
    asked = [
        asyncio.create_task(ask(engine, "word " * words, temperature=0, max_tokens=30))
        for words in (3, 90, 5)
    ]
    engine.generator.failures.append(RuntimeError("CUDA out of memory"))
    short, long, other = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in (short, long, other)].count(OutOfMemory) == 1
    assert (await ask(engine, "Hello", temperature=0)).text == "One fox, two foxes."


async def test_a_failed_gpu_ends_the_worker(
    start: Callable[..., Any], ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    """At once: those that wait are told, and so is whoever restarts it."""
    fatal = asyncio.Event()
    engine = await start(ScriptedEngine(on_fatal=fatal.set))
    engine.generator.failures.append(RuntimeError("CUDA error: an illegal memory access"))
    with pytest.raises(EngineDead):
        await ask(engine, "Hello")
    await fatal.wait()
    with pytest.raises(EngineDead):
        await ask(engine, "Hello")


async def test_a_client_that_leaves_frees_its_pages(start: Callable[..., Any]) -> None:
    """Before the answer ends."""
    engine = await start(ScriptedEngine())
    request = ChatRequest("m", [Message("user", "Hello")], temperature=0, ignore_eos=True)
    events = engine.generate(request)
    await anext(events)
    await events.aclose()
    assert engine.generator.idle
    assert engine.health().running == 0


async def test_a_full_queue_is_told(start: Callable[..., Any], ask: Ask) -> None:
    """With the time after which to try again."""
    engine = await start(slots=1, max_waiting=0)
    events = engine.generate(ChatRequest("m", [Message("user", "Hi")], ignore_eos=True))
    await anext(events)
    with pytest.raises(Overloaded) as caught:
        await ask(engine, "Hello")
    assert caught.value.retry_after
    await events.aclose()


async def test_what_cannot_be_done_is_refused_by_name(start: Callable[..., Any], ask: Ask) -> None:
    """Before anything is queued."""
    engine = await start()
    with pytest.raises(InvalidValue) as caught:
        await ask(engine, "Hello", logit_bias={"99999": 1})
    assert caught.value.param == "logit_bias.99999"
    assert not engine.generator.started[1:]  # nothing but the warm-up


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"form": "exl3"}, "set backend: exllamav3"),
        ({"architectures": ["NewestForCausalLM"]}, "NewestForCausalLM"),
        ({"max_position_embeddings": 32}, "is over the 32"),
    ],
)
async def test_loading_looks_again(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    """The folder may have changed, and the worker may be on another machine."""
    model = make_model(tmp_path / "m", **change)
    with pytest.raises(ModelUnavailable, match=told):
        await ScriptedEngine().load(
            ExllamaOptions(str(model), context_length=64), lambda *stage: None
        )


async def test_before_it_is_loaded_nothing_works() -> None:
    """And asking is no crash."""
    engine = ScriptedEngine()
    for what in (
        lambda: engine.capabilities,
        lambda: engine.generate(ChatRequest("m", [Message("user", "Hi")])),
    ):
        with pytest.raises(ModelUnavailable):
            what()
    assert engine.health().running == 0
    await engine.close()
