"""Many requests on one engine: each gets what it would get alone, and nobody is in another's way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from hoonify_router.errors import (
    EngineDead,
    Overloaded,
)
from hoonify_router.types import (
    ChatRequest,
    Finish,
    Health,
    Message,
    Text,
)

GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 24}
LONG: dict[str, Any] = {"temperature": 0, "ignore_eos": True, "max_tokens": 400}
WILD: dict[str, Any] = {"temperature": 2, "top_k": 0, "top_p": 1.0, "ignore_eos": True}
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
Until = Callable[[Callable[[], bool]], Any]


def user(text: str, **wishes: Any) -> ChatRequest:
    return ChatRequest("tiny-chat", [Message("user", text)], **wishes)


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


async def test_greedy_answers_are_the_same_in_a_batch_of_sixteen(start: Start, ask: Ask) -> None:
    """Streamed and not, alone and with fifteen others."""
    alone = await start(slots=1, reuse_prefixes=False)
    engine = await start(slots=16)
    crowd = [QUESTIONS[number % len(QUESTIONS)] for number in range(16)]
    for streams in (False, True):
        wishes = GREEDY | {"stream": streams, "max_tokens": 40}
        expected = [(await ask(alone, question, **wishes)).text for question in QUESTIONS]
        together = await asyncio.gather(*(ask(engine, question, **wishes) for question in crowd))
        assert [one.text for one in together] == [expected[i % len(expected)] for i in range(16)]


async def test_a_seed_repeats_an_answer(start: Start, ask: Ask) -> None:
    """Alone and among others; another seed, or none, gives another answer."""
    engine = await start(slots=4)
    wishes = WILD | {"max_tokens": 30}
    first = await ask(engine, QUESTIONS[3], seed=5, **wishes)
    others = [ask(engine, question, **wishes) for question in QUESTIONS[:3]]
    again, *_ = await asyncio.gather(ask(engine, QUESTIONS[3], seed=5, **wishes), *others)
    assert again.text == first.text
    rest = [(await ask(engine, QUESTIONS[3], seed=seed, **wishes)).text for seed in (6, 7, None)]
    assert len({first.text, *rest}) == 4


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


async def test_a_late_request_joins_those_that_run(start: Start, ask: Ask, until: Until) -> None:
    """It does not wait for them to end."""
    engine = await start(slots=2)
    running = asyncio.ensure_future(ask(engine, "Hello!", **LONG))
    await until(lambda: engine.health().running == 1)
    await ask(engine, "What is a KV cache?", temperature=0, max_tokens=4)
    assert not running.done()
    assert (await running).usage.completion_tokens == 400


async def test_leaving_frees_the_row_while_others_go_on(
    start: Start, ask: Ask, until: Until
) -> None:
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


async def test_a_full_queue_is_told_at_once(start: Start, ask: Ask, until: Until) -> None:
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


async def test_health_tells_who_runs_and_who_waits(start: Start, ask: Ask, until: Until) -> None:
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
