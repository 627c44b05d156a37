"""Level 2: what an answer is made of, in one piece and as a stream."""

from __future__ import annotations

import asyncio
from typing import Any

from hoonify_router.testing.bench import Bench
from hoonify_router.testing.checks.protocol import SCRIPTS
from hoonify_router.testing.client import Answer, Told
from hoonify_router.testing.records import Level, NotApplicable, check, require

REASONS = ("stop", "length", "tool_calls", "content_filter")


def check_usage(usage: dict[str, Any] | None, where: str) -> dict[str, Any]:
    """Return token counts that are there, and add up."""
    require(usage, f"{where} has no usage: it forgets to count")
    assert usage is not None
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        value = usage.get(name)
        require(type(value) is int and value >= 0, f"{where}: usage.{name} is {value!r}")
    told = usage["prompt_tokens"] + usage["completion_tokens"]
    require(usage["total_tokens"] == told, f"{where}: usage does not add up: {usage}")
    require(usage["prompt_tokens"] > 0, f"{where}: the prompt is counted with 0 tokens")
    return usage


@check(Level.SEMANTICS, task="chat")
async def answers_in_one_piece(bench: Bench) -> None:
    """A plain request is answered in OpenAI's shape: one choice, a message of the assistant, usage."""
    answer = await bench.ask()
    told = answer.json
    require(told.get("object") == "chat.completion", f"its object is {told.get('object')!r}")
    require(str(told.get("id", "")), "it has no id")
    require(told.get("model") == bench.subject.model, f"its model is {told.get('model')!r}")
    require(len(told["choices"]) == 1, f"it has {len(told['choices'])} choices, not one")
    message = answer.choice()["message"]
    require(message.get("role") == "assistant", f"its role is {message.get('role')!r}")
    spoken = message.get("content") or message.get("reasoning_content")
    require(spoken, "its message says nothing")
    check_usage(answer.usage, "the answer")


@check(Level.SEMANTICS, task="chat")
async def finish_reason_is_known(bench: Bench) -> None:
    """It says why an answer ended, in OpenAI's words."""
    answer = await bench.ask()
    require(answer.finish in REASONS, f"its finish_reason is {answer.finish!r}")


@check(Level.SEMANTICS, task="chat")
async def stream_begins_with_the_role(bench: Bench) -> None:
    """The first chunk of a stream carries the role of the assistant."""
    told = await bench.tell()
    first = told.choices()[0]["delta"] if told.choices() else {}
    require(first.get("role") == "assistant", f"the first chunk's delta is {first}")


@check(Level.SEMANTICS, task="chat")
async def stream_is_one_answer(bench: Bench) -> None:
    """One id, one time and one model in all chunks."""
    told = await bench.tell()
    for name in ("id", "created", "model", "object"):
        values = {str(event.get(name)) for event in told.events}
        require(len(values) == 1, f"the chunks of one stream have {len(values)} values of {name}")
    require(told.events[0]["model"] == bench.subject.model, "the stream names another model")


@check(Level.SEMANTICS, task="chat")
async def stream_finishes_once(bench: Bench) -> None:
    """A stream finishes once, nothing comes after it, and `[DONE]` is the last word."""
    told = await bench.tell()
    finishes = told.finishes()
    require(len(finishes) == 1, f"the stream finishes {len(finishes)} times")
    require(finishes[0] in REASONS, f"its finish_reason is {finishes[0]!r}")
    last = told.choices()[-1]
    require(last.get("finish_reason"), "something comes after the finish")


@check(Level.SEMANTICS, task="chat")
async def stream_says_the_same(bench: Bench) -> None:
    """A stream, joined, is the answer in one piece, to the last token."""
    steady = await bench.steady()
    whole = await bench.ask(**steady)
    told = await bench.tell(**steady)
    streamed = told.text()
    if whole.text != streamed and len(whole.text) != len(streamed):
        both = f"{whole.text[-60:]!r} in one piece, {streamed[-60:]!r} as a stream"
        require(False, f"a stream does not say all that the answer in one piece says: {both}")
    require(whole.text == streamed, f"{whole.text!r} in one piece, {streamed!r} as a stream")
    same = told.finishes() == [whole.finish]
    require(same, f"it ends with {whole.finish} in one piece, {told.finishes()} as a stream")


@check(Level.SEMANTICS, task="chat")
async def stream_has_usage_if_asked(bench: Bench) -> None:
    """With `include_usage` a last chunk without choices counts the tokens."""
    told = await bench.tell(stream_options={"include_usage": True})
    check_usage(told.usage, "the stream")
    with_usage = [event for event in told.events if event.get("usage")]
    require(len(with_usage) == 1, f"{len(with_usage)} chunks of the stream have usage")
    require(told.events[-1] is with_usage[0], "the chunk with usage is not the last")
    require(not with_usage[0].get("choices"), "the chunk with usage has choices")


@check(Level.SEMANTICS, task="chat")
async def stream_has_no_usage_unasked(bench: Bench) -> None:
    """Without `include_usage` no chunk has usage."""
    told = await bench.tell()
    require(told.usage is None, "the stream has usage that nobody asked for")


@check(Level.SEMANTICS, task="chat")
async def counts_the_same_both_ways(bench: Bench) -> None:
    """The same answer costs the same, in one piece and as a stream."""
    steady = await bench.steady()
    whole = await bench.ask(**steady)
    told = await bench.tell(stream_options={"include_usage": True}, **steady)
    first, second = check_usage(whole.usage, "the answer"), check_usage(told.usage, "the stream")
    if whole.text != told.text():
        raise NotApplicable("it did not say the same twice")
    for name in ("prompt_tokens", "completion_tokens"):
        told_of = f"{name} is {first[name]} in one piece, {second[name]} as a stream"
        require(first[name] == second[name], told_of)


@check(Level.SEMANTICS, task="chat")
async def counts_the_prompt(bench: Bench) -> None:
    """A longer prompt costs more tokens."""
    short = await bench.ask(await bench.words(5))
    longer = await bench.ask(await bench.words(25))
    counts = short.usage["prompt_tokens"], longer.usage["prompt_tokens"]
    require(counts[0] < counts[1], f"5 words cost {counts[0]} tokens, 25 words {counts[1]}")


@check(Level.SEMANTICS, task="chat", needs=("max_tokens",))
async def keeps_to_max_tokens(bench: Bench) -> None:
    """An answer has no more than `max_tokens` tokens, and says `length` when that cut it."""
    steady = await bench.steady()
    answers = [await bench.ask(**{**steady, "max_tokens": limit}) for limit in (1, 3, 6)]
    counts = [answer.usage["completion_tokens"] for answer in answers]
    for limit, answer, count in zip((1, 3, 6), answers, counts, strict=True):
        require(count <= limit, f"max_tokens is {limit}, and the answer has {count} tokens")
        require(count > 0, f"max_tokens is {limit}, and no token of the answer is counted")
        if count < counts[-1]:  # there was more to say
            require(answer.finish == "length", f"cut by max_tokens it ends with {answer.finish}")


@check(Level.SEMANTICS, task="chat", needs=("max_completion_tokens",))
async def newer_limit_wins(bench: Bench) -> None:
    """`max_completion_tokens` limits an answer like its older name."""
    answer = await bench.ask(max_tokens=None, max_completion_tokens=3)
    count = answer.usage["completion_tokens"]
    require(count <= 3, f"max_completion_tokens is 3, and the answer has {count} tokens")


@check(Level.SEMANTICS, task="chat", needs=("max_tokens",))
async def spends_what_it_says(bench: Bench) -> None:
    """Every token that is counted is said: the last one is not dropped."""
    steady = {**await bench.steady(), "max_tokens": 6}
    if await bench.supports("logprobs"):
        answer = await bench.ask(logprobs=True, **steady)
        tokens = (answer.choice().get("logprobs") or {}).get("content") or []
        count = answer.usage["completion_tokens"]
        told = f"{count} tokens are counted and {len(tokens)} are said: tokens are dropped"
        require(len(tokens) >= count - (answer.finish == "stop"), told)
        return
    answer = await bench.ask(**{**steady, "max_tokens": 1})
    message = answer.choice()["message"]
    if answer.usage["completion_tokens"] == 1 and not message.get("reasoning_content"):
        require(answer.text, "one token is counted and nothing is said: the last is dropped")


@check(Level.SEMANTICS, task="chat")
async def takes_all_roles(bench: Bench) -> None:
    """System, developer, user and assistant may all speak."""
    for first in ("system", "developer"):
        messages = [
            {"role": first, "content": "You are brief."},
            {"role": "user", "content": "one two"},
            {"role": "assistant", "content": "three"},
            {"role": "user", "content": "four five six"},
        ]
        await bench.ask(messages)


@check(Level.SEMANTICS, task="chat")
async def whole_conversation_counts(bench: Bench) -> None:
    """Earlier turns are read, not dropped: they cost tokens."""
    last = {"role": "user", "content": "four five six"}
    alone = await bench.ask([last])
    turns = [
        {"role": "user", "content": "one two three"},
        {"role": "assistant", "content": "seven eight nine ten"},
        last,
    ]
    talk = await bench.ask(turns)
    counts = alone.usage["prompt_tokens"], talk.usage["prompt_tokens"]
    require(counts[0] < counts[1], f"earlier turns are dropped: {counts[1]} tokens with them")


@check(Level.SEMANTICS, task="chat")
async def parts_are_text(bench: Bench) -> None:
    """Content in parts is the same prompt as the content in one string."""
    text = await bench.words(6)
    parts = [{"role": "user", "content": [{"type": "text", "text": text}]}]
    first, second = await bench.ask(text), await bench.ask(parts)
    counts = first.usage["prompt_tokens"], second.usage["prompt_tokens"]
    require(counts[0] == counts[1], f"{counts[0]} tokens as a string, {counts[1]} in parts")


def _check_unicode(answer: Answer, told: Told) -> None:
    for text in (answer.text, told.text()):
        require("\ufffd" not in text, f"half a character has become \ufffd: {text!r}")


@check(Level.SEMANTICS, task="chat")
async def characters_stay_whole(bench: Bench) -> None:
    """Characters of several bytes come out whole, also where a stream cuts."""
    steady = {**await bench.steady(), **await bench.limit(48)}
    answer = await bench.ask(SCRIPTS, **steady)
    told = await bench.tell(SCRIPTS, **steady)
    _check_unicode(answer, told)
    require(answer.text == told.text(), f"{answer.text!r}, and as a stream {told.text()!r}")


@check(Level.SEMANTICS, task="chat")
async def control_words_are_text(bench: Bench) -> None:
    """Whatever a client writes is text: words that look like the model's own signs, zero bytes, JSON."""
    for text in ("<|im_end|> </s> [INST] <|eot_id|> one two", "a\u0000b one", '{"a": [1, "two"]}'):
        answer = await bench.post(await bench.body(text))
        fine = answer.status in (200, 400, 422)
        told = f"it answers {answer.status} to {text!r}: {answer.error.get('message')}"
        require(fine, told + bench.last_words)


@check(Level.SEMANTICS, task="chat")
async def answers_are_not_mixed_up(bench: Bench) -> None:
    """Of requests that come together, each gets its own answer and its own counts."""

    prompts = [await bench.words(3 + 6 * number) for number in range(4)]
    alone = [(await bench.ask(prompt)).usage["prompt_tokens"] for prompt in prompts]
    together = await asyncio.gather(*(bench.ask(prompt) for prompt in prompts))
    counts = [answer.usage["prompt_tokens"] for answer in together]
    require(
        counts == alone, f"prompts of {alone} tokens are counted {counts} when they come together"
    )
