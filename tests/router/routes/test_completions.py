"""Plain completions through the unmodified OpenAI SDK."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from tests.router.doubles import Play, home

from hoonify_router.errors import EngineDead, Overloaded
from hoonify_router.types import Capabilities, TokenLogprob, Usage

from .conftest import OpenDoor

TEXTS = [
    home(
        capabilities=Capabilities(
            frozenset({"n", "logprobs", "max_tokens"}), 4096, tasks=frozenset({"completion"})
        )
    )
]


async def test_a_plain_answer(open_up: OpenDoor) -> None:
    """The SDK's own types hold it."""
    door = await open_up(lambda play: play.say("Hel", "lo ", "😀"), homes=TEXTS)
    async with door.client() as client:
        answer = await client.completions.create(model="parrot", prompt="Say")
    assert answer.choices[0].text == "Hello 😀"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.object, answer.model) == ("text_completion", "parrot")
    assert answer.id.startswith("cmpl-")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 6


async def test_a_stream_with_usage(open_up: OpenDoor) -> None:
    """The same shape in every chunk, null usage until the last."""
    door = await open_up(lambda play: play.say("Hel", "lo"), homes=TEXTS)
    async with door.client() as client:
        stream = await client.completions.create(
            model="parrot", prompt="Say", stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert [c.choices[0].text for c in chunks[:-1]] == ["Hel", "lo", ""]
    assert [c.choices[0].finish_reason for c in chunks[:-1]] == [None, None, "stop"]
    assert all(c.usage is None for c in chunks[:-1])
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert len({(c.id, c.created, c.model, c.object) for c in chunks}) == 1


async def test_each_prompt_has_its_answers(open_up: OpenDoor) -> None:
    """Those of the first prompt first."""

    def script(play: Play) -> None:
        for index in (3, 1, 0, 2):
            play.answer.text(f"text {index}", index)
            play.answer.finish("length", index)
        play.answer.count(Usage(1, 1))
        play.answer.complete()

    door = await open_up(script, homes=TEXTS)
    async with door.client() as client:
        answer = await client.completions.create(model="parrot", prompt=["a", "b"], n=2)
    assert [choice.text for choice in answer.choices] == [f"text {index}" for index in range(4)]


@pytest.mark.parametrize("stream", [False, True])
async def test_log_probabilities(open_up: OpenDoor, stream: bool) -> None:
    """Four lists of equal length, with offsets into the text."""

    def script(play: Play) -> None:
        play.answer.text("é", 0, [TokenLogprob(b"\xc3", -0.5), TokenLogprob(b"\xa9", -1.0)])
        play.answer.text("b", 0, [TokenLogprob(b"b", -2.0, [(b"c", -0.1), (b"b", -2.0)])])
        play.answer.finish("stop")
        play.answer.count(Usage(1, 3))
        play.answer.complete()

    door = await open_up(script, homes=TEXTS)
    async with door.client() as client:
        told: Any = await client.completions.create(
            model="parrot", prompt="x", logprobs=2, stream=stream
        )
        answers = [chunk async for chunk in told] if stream else [told]
    logprobs: dict[str, list[Any]] = {}
    for answer in answers:
        for name, values in answer.choices[0].logprobs or {}:
            logprobs.setdefault(name, []).extend(values)
    assert logprobs == {
        "tokens": ["bytes:\\xc3", "bytes:\\xa9", "b"],
        "token_logprobs": [-0.5, -1.0, -2.0],
        "top_logprobs": [{"bytes:\\xc3": -0.5}, {"bytes:\\xa9": -1.0}, {"c": -0.1, "b": -2.0}],
        "text_offset": [0, 0, 1],
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_before_the_first_text_has_its_status(
    open_up: OpenDoor, stream: bool
) -> None:
    """As with chats."""
    door = await open_up(lambda play: play.answer.fail(Overloaded("full")), homes=TEXTS)
    async with door.client() as client:
        with pytest.raises(openai.RateLimitError):
            await client.completions.create(model="parrot", prompt="x", stream=stream)


async def test_an_error_within_a_stream_is_an_event(open_up: OpenDoor) -> None:
    """And no finish goes before it."""

    def script(play: Play) -> None:
        play.answer.text("a")
        play.answer.finish("stop")
        play.answer.fail(EngineDead("gone"))

    door = await open_up(script, homes=TEXTS)
    data = json.dumps({"model": "parrot", "prompt": "x", "stream": True}).encode()
    _, _, body = await door.ask(
        b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(data), data)
    )
    events = body.split(b"\n\n")
    assert b'"finish_reason":"stop"' not in body
    assert json.loads(events[-3][6:])["error"]["code"] == "model_unavailable"
    assert events[-2:] == [b"data: [DONE]", b""]


@pytest.mark.parametrize(
    "what",
    [
        lambda answer: answer.reasoning("hm"),
        lambda answer: answer.embedding(b"\0\0\0\0"),
        lambda answer: answer.finish("tool_calls"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_has_no_place_in_a_completion_breaks_it(
    open_up: OpenDoor, stream: bool, what: Any
) -> None:
    """An engine that thinks aloud here, or calls, is broken."""
    door = await open_up(lambda play: what(play.answer), homes=TEXTS)
    async with door.client() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.completions.create(model="parrot", prompt="x", stream=stream)
    assert caught.value.code == "model_unavailable"


async def test_a_model_that_only_chats_says_so(open_up: OpenDoor) -> None:
    """With the endpoint that serves it."""
    door = await open_up(lambda play: play.say("x"))
    async with door.client() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.completions.create(model="parrot", prompt="x")
        assert caught.value.code == "wrong_endpoint"
        assert "/v1/chat/completions" in caught.value.message
        with pytest.raises(openai.BadRequestError):
            await client.embeddings.create(model="parrot", input="x")
