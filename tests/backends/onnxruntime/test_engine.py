"""The engine as a worker uses it, with the shipped model: many requests at once, and each as if alone."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_backends.onnxruntime import engine as engine_module
from hoonify_backends.onnxruntime.engine import OnnxEngine
from hoonify_backends.onnxruntime.options import OnnxOptions, SamplingDefaults
from hoonify_backends.onnxruntime.prompts import HONOURED
from hoonify_router.errors import (
    ContextLengthExceeded,
    EngineDead,
    InvalidRequest,
    ModelUnavailable,
    Overloaded,
    RouterError,
    Unsupported,
)
from hoonify_router.types import (
    ChatRequest,
    Counted,
    Finish,
    Health,
    ImagePart,
    ImageURL,
    Message,
    Text,
    TextPart,
)

GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 24}
QUESTIONS = [
    "Hello!",
    "What is a KV cache?",
    "Count from 1 to 12.",
    "Write a short story about a fox.",
    "Name three animals.",
    "Repeat after me: " + "the quiet robot sings outside and " * 20,
]
LONG: dict[str, Any] = {"temperature": 0, "ignore_eos": True, "max_tokens": 400}

Ask = Callable[..., Any]
Start = Callable[..., Any]


def nothing(stage: str, done: int, total: int) -> None:
    """Take no notice of progress."""


@pytest.fixture
async def start(options: OnnxOptions) -> AsyncIterator[Start]:
    """Start engines that are closed after the test."""
    engines: list[OnnxEngine] = []

    async def start_one(**changes: Any) -> OnnxEngine:
        engine = OnnxEngine(on_fatal=lambda: None)
        engines.append(engine)
        await engine.load(msgspec.structs.replace(options, **changes), nothing)
        return engine

    yield start_one
    for engine in engines:
        await engine.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does; pytest's timeout ends a wait in vain."""
    while not condition():  # noqa: ASYNC110 - the engine has no event for each of these
        await asyncio.sleep(0.001)


def user(text: str, **wishes: Any) -> ChatRequest:
    return ChatRequest("tiny-chat", [Message("user", text)], **wishes)


async def test_an_answer_is_texts_an_end_and_a_count(start: Start, ask: Ask) -> None:
    """In this order, and every piece has text."""
    answered = await ask(await start(), "What is a KV cache?", temperature=0)
    kinds = [type(event) for event in answered.events]
    assert kinds == [Text] * (len(kinds) - 2) + [Finish, Counted]
    assert len(kinds) > 4
    assert all(answered.pieces)
    assert answered.usage.completion_tokens >= len(answered.pieces)


async def test_greedy_answers_are_those_of_the_plain_graph(
    start: Start, ask: Ask, reference: Any, tokenizer: Any, loaded: Any
) -> None:
    """Template, tokens, rows, text: all of it against a loop that knows no trick."""
    from hoonify_backends.onnxruntime.template import ChatTemplate

    engine = await start()
    template = ChatTemplate(loaded.folder.chat_template, loaded.folder.tokenizer_config)
    for question in QUESTIONS[:3]:
        prompt = template.render([Message("user", question)])
        tokens = tokenizer.encode(prompt, add_special_tokens=False).ids
        expected = reference.greedy(tokens, GREEDY["max_tokens"])
        ends = [i for i, token in enumerate(expected) if token in loaded.folder.eos]
        answer = expected[: ends[0]] if ends else expected
        answered = await ask(engine, question, **GREEDY)
        assert answered.text == tokenizer.decode(answer)
        assert answered.finish == ("stop" if ends else "length")
        assert answered.usage.prompt_tokens == len(tokens)
        assert answered.usage.completion_tokens == len(answer)


async def test_greedy_answers_are_the_same_alone_and_in_any_company(start: Start, ask: Ask) -> None:
    """Whatever the slots, the chunks and who else is there."""
    engine = await start(slots=1, reuse_prefixes=False)
    alone = [(await ask(engine, question, **GREEDY)).text for question in QUESTIONS]
    for changes in (
        {"slots": 2, "prefill_chunk": 16},
        {"slots": 4, "prefill_chunk": 100, "reuse_prefixes": False},
        {"slots": 8, "threads": 2},
    ):
        engine = await start(**changes)
        crowd = [question for question in QUESTIONS for _ in range(2)]
        together = await asyncio.gather(*(ask(engine, question, **GREEDY) for question in crowd))
        assert [answered.text for answered in together[::2]] == alone
        assert [answered.text for answered in together[1::2]] == alone


async def test_a_seed_repeats_an_answer(start: Start, ask: Ask) -> None:
    """Alone and among others; another seed, or none, gives another answer."""
    engine = await start(slots=4)
    wishes = {"temperature": 1.2, "top_k": 0, "top_p": 1.0, "max_tokens": 30}
    first = await ask(engine, QUESTIONS[3], seed=5, **wishes)
    others = [ask(engine, question, **wishes) for question in QUESTIONS[:3]]
    again, *_ = await asyncio.gather(ask(engine, QUESTIONS[3], seed=5, **wishes), *others)
    assert again.text == first.text
    rest = [(await ask(engine, QUESTIONS[3], seed=seed, **wishes)).text for seed in (6, 7, None)]
    assert {first.text} != set(rest) | {first.text}


async def test_sixteen_streams_interleave(start: Start) -> None:
    """All have their first piece long before the first of them has its last."""
    engine = await start(slots=16)
    order: list[int] = []

    async def stream(number: int) -> None:
        async for event in engine.generate(
            user(QUESTIONS[number % 5], **LONG | {"max_tokens": 40})
        ):
            if isinstance(event, Text | Finish):
                order.append(number if isinstance(event, Text) else -1)

    await asyncio.gather(*(stream(number) for number in range(16)))
    assert set(order[: order.index(-1)]) == set(range(16))
    switches = sum(a != b for a, b in pairwise(order))
    assert switches > len(order) / 2


async def test_a_late_request_joins_those_that_run(start: Start, ask: Ask) -> None:
    """It does not wait for them to end."""
    engine = await start(slots=2)
    running = asyncio.ensure_future(ask(engine, "Hello!", **LONG))
    await until(lambda: engine.health().running == 1)
    await ask(engine, "What is a KV cache?", temperature=0, max_tokens=4)
    assert not running.done()
    assert (await running).usage.completion_tokens == 400


async def test_leaving_frees_the_row_while_others_go_on(start: Start, ask: Ask) -> None:
    """In the middle of an answer, and while waiting for a slot."""
    engine = await start(slots=2)
    stays = asyncio.ensure_future(ask(engine, QUESTIONS[1], **LONG))
    leaves = engine.generate(user(QUESTIONS[0], **LONG | {"max_tokens": 900}))
    await anext(leaves)
    waits = asyncio.ensure_future(ask(engine, QUESTIONS[2], **LONG))
    await until(lambda: engine.health().queued == 1)
    waits.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waits
    await leaves.aclose()
    assert engine.health().queued == 0
    assert (await ask(engine, QUESTIONS[0], **GREEDY)).finish
    assert not stays.done() or (await stays).usage.completion_tokens == 400
    assert (await stays).usage.completion_tokens == 400
    assert engine.health() == Health()


async def test_a_full_queue_is_told_at_once(start: Start, ask: Ask) -> None:
    """With a time after which to come back; requests that were taken are served."""
    engine = await start(slots=1, max_waiting=1)
    first = engine.generate(user(QUESTIONS[0], **LONG))
    await anext(first)
    second = asyncio.ensure_future(ask(engine, QUESTIONS[1], **GREEDY))
    await until(lambda: engine.health().queued == 1)
    with pytest.raises(Overloaded) as caught:
        await ask(engine, QUESTIONS[2])
    assert caught.value.retry_after is not None
    assert 1 <= caught.value.retry_after <= 60
    await first.aclose()
    assert (await second).finish
    assert (await ask(engine, QUESTIONS[2], **GREEDY)).finish


async def test_a_prompt_that_is_too_long_is_refused_before_anything_is_sent(
    start: Start, ask: Ask
) -> None:
    """With both numbers, short enough for a client to understand."""
    engine = await start(max_length=64)
    with pytest.raises(
        ContextLengthExceeded, match="maximum context length is 64 tokens"
    ) as caught:
        await ask(engine, "word " * 200)
    assert caught.value.param == "messages"
    huge = "word " * 20_000  # tokenized beside the loop
    with pytest.raises(ContextLengthExceeded):
        await ask(engine, huge)


async def test_the_answer_ends_where_the_context_does(start: Start, ask: Ask) -> None:
    """More tokens than there is room for are capped, not refused."""
    engine = await start(max_length=64)
    answered = await ask(engine, "Hello!", ignore_eos=True, max_tokens=5000)
    assert answered.finish == "length"
    assert answered.usage.prompt_tokens + answered.usage.completion_tokens == 64


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_the_limit_of_tokens(start: Start, ask: Ask, limit: int) -> None:
    """Exactly as many as asked for."""
    answered = await ask(await start(), QUESTIONS[3], ignore_eos=True, max_tokens=limit)
    assert (answered.finish, answered.usage.completion_tokens) == ("length", limit)


async def test_stop_strings_at_every_border(start: Start, ask: Ask) -> None:
    """Any part of the answer can be the stop string: the text ends exactly before it."""
    engine = await start()
    whole = (await ask(engine, QUESTIONS[3], **GREEDY)).text
    assert len(whole) > 20
    for begin in range(0, 16, 3):
        for size in (1, 2, 5, 9):
            stop = whole[begin : begin + size]
            answered = await ask(engine, QUESTIONS[3], stop=["\x00", stop], **GREEDY)
            assert answered.text == whole[: whole.index(stop)]
            assert answered.finish == "stop"


async def test_usage_adds_up(start: Start, ask: Ask) -> None:
    """A following turn's prompt holds the earlier question and answer, most of it read before."""
    engine = await start(slots=1)
    turns = [Message("user", "Write a short story about a fox who finds a letter.")]
    first = await ask(engine, turns, **GREEDY)
    assert first.usage.cached_tokens == 0
    turns += [Message("assistant", first.text), Message("user", "And then?")]
    second = await ask(engine, turns, **GREEDY)
    before = first.usage.prompt_tokens + first.usage.completion_tokens
    assert second.usage.prompt_tokens > before
    assert before - 2 <= second.usage.cached_tokens <= before
    fresh = await start(slots=1, reuse_prefixes=False)
    again = await ask(fresh, turns, **GREEDY)
    assert again.usage.cached_tokens == 0
    assert again.text == second.text


async def test_text_in_parts_and_roles(start: Start, ask: Ask) -> None:
    """Parts are one text; every role of OpenAI's is taken."""
    engine = await start()
    parts = [TextPart("What is"), TextPart("a KV cache?")]
    joined = await ask(engine, "What is\na KV cache?", **GREEDY)
    assert (await ask(engine, [Message("user", parts)], **GREEDY)).text == joined.text
    turns = [Message("developer", "Be brief."), Message("user", "Hello!")]
    assert (await ask(engine, turns, **GREEDY)).text


async def test_an_image_is_refused(start: Start, ask: Ask) -> None:
    """By its place in the request."""
    message = Message("user", [ImagePart(ImageURL("https://x.test/a.png"))])
    with pytest.raises(Unsupported) as caught:
        await ask(await start(), [message])
    assert caught.value.param == "messages[0].content[0]"


async def test_a_refusal_takes_no_slot(start: Start, ask: Ask) -> None:
    """After any number of bad requests the engine is as free as before."""
    engine = await start(slots=1, max_waiting=0)
    for _ in range(3):
        with pytest.raises(InvalidRequest):
            await ask(engine, "Hello!", stop="")
    assert engine.health() == Health()
    assert (await ask(engine, "Hello!", **GREEDY)).finish


async def test_the_operators_sampling_counts(start: Start, ask: Ask) -> None:
    """Where the client says nothing; the client's own wish wins."""
    engine = await start(sampling=SamplingDefaults(temperature=0.0))
    answers = {(await ask(engine, QUESTIONS[3], max_tokens=20)).text for _ in range(3)}
    assert len(answers) == 1
    wild = {
        (await ask(engine, QUESTIONS[3], max_tokens=20, temperature=2.0, top_k=0, top_p=1.0)).text
        for _ in range(3)
    }
    assert len(wild) > 1


async def test_capabilities(start: Start) -> None:
    """What the engine honours, and where it really runs."""
    engine = await start(slots=3, max_length=128)
    able = engine.capabilities
    assert (able.slots, able.context_length, able.device) == (3, 128, "cpu")
    assert able.parameters == HONOURED
    assert able.memory_bytes > 0
    assert able.details["provider"] == "CPUExecutionProvider"
    assert not able.parameters & {"n", "tools", "logprobs", "response_format", "logit_bias"}


async def test_health_tells_who_runs_and_who_waits(start: Start, ask: Ask) -> None:
    """And how long ago the last step was, while there is anything to do."""
    engine = await start(slots=1)
    assert engine.health() == Health()
    running = engine.generate(user(QUESTIONS[0], **LONG))
    await anext(running)
    waiting = asyncio.ensure_future(ask(engine, QUESTIONS[1], **GREEDY))
    await until(lambda: engine.health().queued == 1)
    health = engine.health()
    assert health.running == 1
    assert 0 <= health.step_age < 10
    await running.aclose()
    await waiting
    assert engine.health() == Health()


async def test_loading_tells_its_stages(options: OnnxOptions) -> None:
    """Each resets the supervisor's timer."""
    stages: list[str] = []
    engine = OnnxEngine()
    await engine.load(options, lambda stage, done, total: stages.append(stage))
    await engine.close()
    assert "loading weights" in stages


async def test_memory_is_told_while_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that loads for minutes shows that it does; one that is stuck does not."""
    sizes = iter([100, 100, 250, 240, 300])
    told: list[int] = []
    monkeypatch.setattr(engine_module, "_resident_mib", lambda: next(sizes))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await engine_module._report_memory(lambda stage, done, total: told.append(done), 0)
    assert told == [100, 250, 300]


async def test_what_cannot_be_loaded_is_one_of_our_errors(
    options: OnnxOptions, model_path: Path, tmp_path: Path
) -> None:
    """A broken graph, template or tokenizer says so, and the process lives."""
    for broken in ("model.onnx", "tokenizer.json", "chat_template.jinja"):
        folder = tmp_path / broken
        shutil.copytree(model_path, folder)
        (folder / broken).write_text("{% broken")
        with pytest.raises(ModelUnavailable):
            await OnnxEngine().load(msgspec.structs.replace(options, model=str(folder)), nothing)


async def test_nothing_is_served_before_or_after(options: OnnxOptions, ask: Ask) -> None:
    """An engine that is not loaded, or closed, says so; what runs at the end is told."""
    engine = OnnxEngine()
    with pytest.raises(ModelUnavailable):
        await ask(engine, "Hello!")
    with pytest.raises(ModelUnavailable):
        _ = engine.capabilities
    await engine.load(options, nothing)
    running = engine.generate(user("Hello!", **LONG))
    await anext(running)
    await engine.close()
    with pytest.raises(EngineDead):
        [event async for event in running]
    with pytest.raises(RouterError):
        await ask(engine, "Hello!")
    await engine.close()  # twice is fine


async def test_a_failed_step_fails_its_requests_only(start: Start, ask: Ask) -> None:
    """They get an error; the next request is served."""
    engine = await start(slots=2)
    model = engine._loaded.model
    running = engine.generate(user("Hello!", **LONG))
    await anext(running)
    decode = model.decode

    def fail(*args: Any) -> Any:
        model.decode = decode
        raise RuntimeError("kernel failed")

    model.decode = fail
    with pytest.raises(EngineDead, match="The engine failed"):
        [event async for event in running]
    assert (await ask(engine, "Hello!", **GREEDY)).finish


async def test_an_engine_beyond_repair_ends_its_process(options: OnnxOptions, ask: Ask) -> None:
    """Everyone is told first, nobody new is let in, and the supervisor starts another."""
    ended = asyncio.Event()
    engine = OnnxEngine(on_fatal=ended.set)
    await engine.load(options, nothing)
    assert engine._loaded is not None

    def fail(*args: Any) -> Any:
        raise RuntimeError("device lost")

    engine._loaded.model.prefill = fail  # type: ignore[method-assign]
    for _ in range(3):
        with pytest.raises(EngineDead):
            await ask(engine, "Hello!")
    with pytest.raises(EngineDead):
        await ask(engine, "Hello!")
    await asyncio.wait_for(ended.wait(), 10)
    await engine.close()
