"""The unmodified Python client chats: whole and streamed, parsed, sync and async."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, Field
from tests.sdk.cases import COUNTING, messages
from tests.sdk.conftest import Served


class Day(BaseModel):
    """One day of the forecast."""

    sky: Literal["sunny", "cloudy", "rainy"]
    degrees: Annotated[int, Field(ge=-20, le=45)]


class Forecast(BaseModel):
    """What a model with a schema must say."""

    city: Literal["Paris", "Rome"]
    metric: bool
    days: Annotated[list[Day], Field(min_length=1, max_length=2)]


def asked(home: str, **fields: Any) -> Any:
    return {"model": home, "messages": messages(home, fields), "max_tokens": 60, **fields}


def greedy(home: str) -> dict[str, Any]:
    return {} if home.endswith("echo") else {"temperature": 0}


def test_an_answer(client: openai.OpenAI, home: str) -> None:
    """Text, finish, counts, and the catalog's name for the model."""
    answer = client.chat.completions.create(**asked(home, **greedy(home)))
    assert answer.choices[0].message.content == COUNTING
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == home
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 5
    assert answer._request_id


def test_a_stream_says_the_same(client: openai.OpenAI, home: str) -> None:
    """Piece by piece, the role first, the usage last and only when asked."""
    chunks = list(
        client.chat.completions.create(
            **asked(home, **greedy(home)), stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    *talk, last = chunks
    assert "".join(chunk.choices[0].delta.content or "" for chunk in talk) == COUNTING
    assert talk[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in talk)
    assert last.usage is not None
    assert last.usage.total_tokens > 0


def test_several_answers_in_one_stream(client: openai.OpenAI, home: str) -> None:
    """``n`` answers, told apart by index."""
    texts = ["", "", ""]
    finishes: list[Any] = [None, None, None]
    for chunk in client.chat.completions.create(**asked(home, **greedy(home), n=3), stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finishes[choice.index] = choice.finish_reason or finishes[choice.index]
    assert texts == [COUNTING] * 3
    assert finishes == ["stop"] * 3


def test_the_stream_helper_tells_its_events(client: openai.OpenAI, home: str) -> None:
    """Deltas, the whole content, log probabilities, and a final completion as if not streamed."""
    request = asked(home, **greedy(home), logprobs=True, top_logprobs=2)
    with client.chat.completions.stream(**request) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    said = "".join(event.delta for event in events if event.type == "content.delta")
    assert said == COUNTING
    assert [event.content for event in events if event.type == "content.done"] == [COUNTING]
    probable = [event.content for event in events if event.type == "logprobs.content.delta"]
    told = [token for tokens in probable for token in tokens]
    assert b"".join(bytes(token.bytes or []) for token in told).decode() == COUNTING
    assert all(len(token.top_logprobs) == 2 for token in told)
    whole = client.chat.completions.create(**request)
    assert final.choices[0].message.content == whole.choices[0].message.content
    assert final.choices[0].logprobs is not None
    assert whole.choices[0].logprobs is not None
    streamed, plain = final.choices[0].logprobs.content, whole.choices[0].logprobs.content
    assert [token.token for token in streamed or []] == [token.token for token in plain or []]


@pytest.mark.parametrize("home", ["tiny-chat", "far-tiny-chat"])
def test_an_answer_parsed_with_a_pydantic_model(client: openai.OpenAI, home: str) -> None:
    """The schema that the package makes of the model is honoured, however the answer comes."""
    request = asked(home, temperature=1, seed=5, max_tokens=200)
    parsed = client.chat.completions.parse(**request, response_format=Forecast)
    assert isinstance(parsed.choices[0].message.parsed, Forecast)
    assert parsed.choices[0].message.refusal is None
    with client.chat.completions.stream(**request, response_format=Forecast) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed == parsed.choices[0].message.parsed
    (done,) = [event for event in events if event.type == "content.done"]
    assert done.parsed == parsed.choices[0].message.parsed


@pytest.mark.parametrize("home", ["echo", "far-echo"])
def test_a_home_without_schemas_says_so(client: openai.OpenAI, home: str) -> None:
    """Nobody gets a text that only happens to be parsed."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.parse(**asked(home), response_format=Forecast)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "response_format")


def test_headers_can_be_read(client: openai.OpenAI, router: Served, home: str) -> None:
    """``with_raw_response`` and ``with_streaming_response`` show the request's id."""
    raw = client.chat.completions.with_raw_response.create(**asked(home))
    assert raw.headers["x-request-id"]
    assert raw.retries_taken == 0
    assert isinstance(raw.parse(), ChatCompletion)
    with client.chat.completions.with_streaming_response.create(
        **asked(home), stream=True
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert list(response.iter_lines())[-2:] == ["data: [DONE]", ""]


async def test_the_async_client(router: Served, home: str) -> None:
    """Whole, streamed, and through the helper."""
    async with router.async_client() as client:
        request = asked(home, **greedy(home))
        answer = await client.chat.completions.create(**request)
        assert answer.choices[0].message.content == COUNTING
        text = ""
        async for chunk in await client.chat.completions.create(**request, stream=True):
            text += chunk.choices[0].delta.content or ""
        assert text == COUNTING
        async with client.chat.completions.stream(**request) as stream:
            async for _ in stream:
                pass
            final = await stream.get_final_completion()
        assert final.choices[0].message.content == COUNTING


@pytest.mark.slow  # waits for the router's first sign of life, two seconds
def test_comments_between_events_are_not_noticed(client: openai.OpenAI) -> None:
    """A stream that waits is kept alive with comments, which clients skip."""
    request: Any = {
        "model": "echo",
        "messages": [{"role": "user", "content": "[[first 2.5]]here I am"}],
    }
    chunks = list(client.chat.completions.create(**request, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "here I am"


@pytest.mark.parametrize("home", ["echo", "far-echo"])
def test_thoughts_come_beside_the_answer(client: openai.OpenAI, home: str) -> None:
    """In the field that open models' clients read, and counted where OpenAI counts them."""
    said: Any = [{"role": "user", "content": "[[think hm well]]yes"}]
    whole = client.chat.completions.create(model=home, messages=said)
    message = whole.choices[0].message
    assert message.content == "yes"
    assert (message.model_extra or {})["reasoning_content"] == "hm well"
    assert whole.usage is not None
    assert whole.usage.completion_tokens_details is not None
    assert whole.usage.completion_tokens_details.reasoning_tokens == 2
    thought = ""
    for chunk in client.chat.completions.create(model=home, messages=said, stream=True):
        delta = chunk.choices[0].delta
        thought += (delta.model_extra or {}).get("reasoning_content", "")
    assert thought == "hm well"
