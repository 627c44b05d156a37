"""Several answers, completions and forms: what one request may ask of the engine besides one chat answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from hoonify_router.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    InvalidValue,
    Overloaded,
    Unsupported,
)
from hoonify_router.types import ChatRequest, CompletionRequest, Finish, Health, Message, Text

QUESTION = "Write a short story about a fox."
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 24}
WILD: dict[str, Any] = {"temperature": 2, "top_k": 0, "top_p": 1.0, "ignore_eos": True}
LONG: dict[str, Any] = {"temperature": 0, "ignore_eos": True, "max_tokens": 400}

Ask = Callable[..., Any]
Start = Callable[..., Any]
Until = Callable[[Callable[[], bool]], Any]


def user(text: str, **wishes: Any) -> ChatRequest:
    return ChatRequest("tiny-chat", [Message("user", text)], **wishes)


@pytest.mark.parametrize(("slots", "n"), [(4, 4), (4, 1), (2, 7), (16, 128)])
async def test_each_of_several_answers_is_whole(start: Start, ask: Ask, slots: int, n: int) -> None:
    """Greedy ones are all the same as the only one; the prompt counts once."""
    engine = await start(slots=slots, max_waiting=128)
    one = await ask(engine, QUESTION, **GREEDY)
    several = await ask(engine, QUESTION, n=n, **GREEDY)
    assert several.texts == [one.text] * n
    assert several.finishes == [one.finish] * n
    assert several.usage.prompt_tokens == one.usage.prompt_tokens
    assert several.usage.completion_tokens == n * one.usage.completion_tokens
    assert engine.health() == Health()


async def test_seeds_repeat_for_several_answers(start: Start, ask: Ask) -> None:
    """Alone, in company and however many rows there are; the first is that of a request for one."""
    engine, narrow = await start(slots=8), await start(slots=2)
    wishes = WILD | {"max_tokens": 24, "seed": 11}
    first = await ask(engine, QUESTION, n=5, **wishes)
    assert len(set(first.texts)) == 5
    again = await ask(narrow, QUESTION, n=5, **wishes)
    others = [ask(engine, text, **WILD | {"max_tokens": 40}) for text in ("Hello!", "Hi", "Ho")]
    crowded, *_ = await asyncio.gather(ask(engine, QUESTION, n=5, **wishes), *others)
    assert first.texts == again.texts == crowded.texts
    assert (await ask(engine, QUESTION, **wishes)).text == first.text
    assert (await ask(engine, QUESTION, n=5, **wishes | {"seed": 12})).texts != first.texts


async def test_the_prompt_of_several_answers_is_read_once(start: Start, ask: Ask) -> None:
    """Its keys and values are copied for the others."""
    engine = await start(slots=4, reuse_prefixes=False)
    model = engine._loaded.model
    read: list[int] = []
    prefill = model.prefill

    def counting(row: int, tokens: list[int], begin: int) -> Any:
        read.append(len(tokens))
        return prefill(row, tokens, begin)

    model.prefill = counting
    answered = await ask(engine, QUESTION, n=4, **GREEDY)
    assert sum(read) == answered.usage.prompt_tokens


async def test_several_answers_stream_side_by_side(start: Start) -> None:
    """Every answer has begun before the first has ended."""
    engine = await start(slots=4)
    order = []
    async for event in engine.generate(user(QUESTION, n=4, **LONG | {"max_tokens": 30})):
        if isinstance(event, Text | Finish):
            order.append((type(event), event.index))
    begun = order[: order.index((Finish, 0))]
    assert {index for _, index in begun} == {0, 1, 2, 3}


async def test_leaving_frees_the_rows_of_all_answers(start: Start, ask: Ask, until: Until) -> None:
    """Those that run and those that wait, at once."""
    engine = await start(slots=2, max_waiting=10)
    leaves = engine.generate(user(QUESTION, n=6, **LONG))
    await anext(leaves)
    assert (engine.health().running, engine.health().queued) == (2, 4)
    await leaves.aclose()
    scheduler = engine._desk._runner._stepper
    assert not scheduler.busy  # when the iterator is closed, not some time after
    assert not scheduler._prefilling
    assert not scheduler._following
    assert engine.health() == Health()
    assert (await ask(engine, QUESTION, n=12, **GREEDY)).finishes


async def test_leaving_before_the_first_token_frees_everything(start: Start, until: Until) -> None:
    """While the prompt is read, and while the request waits."""
    engine = await start(slots=2, prefill_chunk=16, max_waiting=10)
    serving = [
        asyncio.ensure_future(anext(engine.generate(user("word " * 150, n=5, **LONG))))
        for _ in range(2)
    ]
    await until(lambda: engine.health().queued == 8)
    for one in serving:
        one.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await one
    assert not engine._desk._runner._stepper.busy
    assert engine.health() == Health()


async def test_each_answer_counts_as_a_request(start: Start, ask: Ask) -> None:
    """More than can ever wait is refused as such, more than can wait now as busy."""
    engine = await start(slots=2, max_waiting=4)
    with pytest.raises(InvalidValue, match="at most 6 answers") as caught:
        await ask(engine, QUESTION, n=7, **GREEDY)
    assert caught.value.param == "n"
    running = engine.generate(user(QUESTION, n=3, **LONG))
    await anext(running)
    with pytest.raises(Overloaded):
        await ask(engine, QUESTION, n=4, **GREEDY)
    assert (await ask(engine, QUESTION, n=3, **GREEDY | {"max_tokens": 1})).finishes
    await running.aclose()
    assert (await ask(engine, QUESTION, n=6, **GREEDY)).finishes


async def test_completions_in_all_forms_of_a_prompt(
    start: Start, complete: Ask, reference: Any, tokenizer: Any
) -> None:
    """Text, texts, tokens, lists of tokens: each goes on as the plain graph does."""
    engine = await start()
    texts = ["A load balancer", "The capital of"]
    tokens = [tokenizer.encode(text).ids for text in texts]
    expected = [tokenizer.decode(reference.greedy(one, 8)) for one in tokens]
    wishes = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}
    for prompt, wanted in (
        (texts[0], expected[:1]),
        (texts, expected),
        (tokens[0], expected[:1]),
        (tokens, expected),
    ):
        answered = await complete(engine, prompt, **wishes)
        assert answered.texts == wanted
        assert answered.usage.prompt_tokens == sum(map(len, tokens[: len(wanted)]))
        assert answered.usage.completion_tokens == 8 * len(wanted)


async def test_several_answers_to_several_prompts(start: Start, complete: Ask) -> None:
    """Those of the first prompt come first, and each prompt counts once."""
    engine = await start()
    wishes = WILD | {"max_tokens": 10, "seed": 4}
    answered = await complete(engine, ["A fox", "A cat"], n=2, echo=True, **wishes)
    assert [text[:5] for text in answered.texts] == ["A fox", "A fox", "A cat", "A cat"]
    alone = await complete(engine, "A cat", n=2, echo=True, **wishes)
    assert alone.texts == answered.texts[2:]


async def test_a_completion_of_no_tokens(start: Start, complete: Ask) -> None:
    """It is its echo."""
    engine = await start()
    answered = await complete(engine, ["a", "b"], max_tokens=0, echo=True)
    assert (answered.texts, answered.finishes) == (["a", "b"], ["length"] * 2)
    assert answered.usage.completion_tokens == 0
    assert engine.health() == Health()


async def test_log_probabilities_of_a_completion(start: Start, complete: Ask) -> None:
    """One for each token, with as many others as asked for."""
    answered = await complete(await start(), "A load balancer", logprobs=2, **GREEDY)
    told = answered.logprobs()
    assert len(told) == answered.usage.completion_tokens
    assert b"".join(one.token for one in told).decode() == answered.text
    assert {len(one.top) for one in told} == {2}


@pytest.mark.parametrize(
    ("prompt", "wishes", "error", "param"),
    [
        ("a", {"suffix": "b"}, Unsupported, "suffix"),
        ("a", {"best_of": 3}, Unsupported, "best_of"),
        ("a", {"echo": True, "logprobs": 1}, Unsupported, "echo"),
        ("word " * 2000, {}, ContextLengthExceeded, "prompt"),
        ([7, 99_999], {}, InvalidValue, "prompt[1]"),
        (["a"] * 100, {}, InvalidValue, "prompt"),
    ],
)
async def test_completions_that_cannot_be_served(
    *,
    start: Start,
    complete: Ask,
    prompt: Any,
    wishes: dict[str, Any],
    error: type[Exception],
    param: str,
) -> None:
    """By name, before anything is sent, and nothing is left behind."""
    engine = await start()
    with pytest.raises(error) as caught:
        await complete(engine, prompt, **wishes)
    assert caught.value.param == param  # type: ignore[attr-defined]
    assert engine.health() == Health()
    if error is ContextLengthExceeded:
        assert "1024 tokens" in str(caught.value)


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}


@pytest.mark.parametrize("wishes", [{"temperature": 0}, WILD | {"ignore_eos": None, "seed": 5}])
async def test_a_form_is_kept_and_ends_the_answer(
    start: Start, ask: Ask, wishes: dict[str, Any]
) -> None:
    """Each of several answers by itself, with plain ones in the same batch."""
    engine = await start(slots=4)
    formed = ask(engine, QUESTION, n=3, response_format=FORM, max_tokens=200, **wishes)
    plain = ask(engine, QUESTION, **GREEDY)
    answered, other = await asyncio.gather(formed, plain)
    for text, finish in zip(answered.texts, answered.finishes, strict=True):
        if finish == "stop":
            assert set(json.loads(text)) == {"name", "age"}
    assert "stop" in answered.finishes
    assert other.text == (await ask(engine, QUESTION, **GREEDY)).text


async def test_a_forced_call_becomes_a_tool_call(start: Start, ask: Ask) -> None:
    """With its own reason to finish; the log probabilities of its tokens are told."""
    from hoonify_router.types import ToolCall

    tool = {"type": "function", "function": {"name": "person", "parameters": SCHEMA}}
    answered = await ask(
        await start(),
        QUESTION,
        tools=[tool],
        tool_choice={"type": "function", "function": {"name": "person"}},
        max_tokens=200,
        temperature=0,
        logprobs=True,
    )
    calls = [event for event in answered.events if isinstance(event, ToolCall)]
    assert calls[0].name == "person"
    assert set(json.loads("".join(call.arguments for call in calls))) == {"name", "age"}
    assert answered.finish == "tool_calls"
    assert len(answered.logprobs()) == answered.usage.completion_tokens


async def test_an_impossible_form_is_refused(start: Start, ask: Ask) -> None:
    """By its name; the engine is as free as before."""
    engine = await start()
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    with pytest.raises(InvalidRequest):
        await ask(engine, QUESTION, response_format=form)
    assert engine.health() == Health()


async def test_completions_and_chats_share_a_batch(start: Start, ask: Ask, complete: Ask) -> None:
    """Each gets what it would get alone."""
    engine = await start(slots=4)
    chat, text = await ask(engine, QUESTION, **GREEDY), await complete(engine, "A fox", **GREEDY)
    both = await asyncio.gather(
        ask(engine, QUESTION, **GREEDY), complete(engine, "A fox", **GREEDY)
    )
    assert [one.text for one in both] == [chat.text, text.text]


async def test_an_iterator_that_nobody_began_holds_nothing(start: Start) -> None:
    """Closing it at once is fine."""
    engine = await start()
    await engine.complete(CompletionRequest("m", "a")).aclose()
    assert engine.health() == Health()
