"""Single answers of the engine with the shipped model: what a client asks for is what it gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hoonify_backends.generation.defaults import SamplingDefaults
from hoonify_router.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    Unsupported,
)
from hoonify_router.types import (
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

Ask = Callable[..., Any]
Start = Callable[..., Any]


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
    from hoonify_backends.generation.template import ChatTemplate

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
    whole = (await ask(engine, QUESTIONS[2], **GREEDY)).text
    assert len(whole) > 20
    for begin in range(0, 16, 3):
        for size in (1, 2, 5, 9):
            stop = whole[begin : begin + size]
            answered = await ask(engine, QUESTIONS[2], stop=["\x00", stop], **GREEDY)
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
    wild = {"temperature": 2, "top_k": 0, "top_p": 1.0, "ignore_eos": True, "max_tokens": 20}
    answers = {(await ask(engine, QUESTIONS[3], **wild)).text for _ in range(10)}
    assert len(answers) > 1  # about one in four is the likeliest all the same
