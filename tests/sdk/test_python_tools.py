"""The unmodified Python client lets models call functions."""

from __future__ import annotations

import json
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel
from tests.sdk.cases import TOOLS, messages

NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}


class GetWeather(BaseModel):
    """Return the weather of a city."""

    city: Literal["Paris", "Rome"]
    metric: bool


def asked(home: str, **fields: Any) -> Any:
    request = {"model": home, "tools": TOOLS, "max_tokens": 100, **fields}
    return {**request, "messages": messages(home, request)}


def test_a_round_trip(client: openai.OpenAI, home: str) -> None:
    """A call, its result, and an answer that goes on from there."""
    request = asked(home, tool_choice=NAMED, parallel_tool_calls=False)
    first = client.chat.completions.create(**request)
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    (call,) = message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments).keys() == {"city", "metric"}
    turns = [
        *request["messages"],
        message,
        {"role": "tool", "tool_call_id": call.id, "content": "It is sunny."},
    ]
    second = client.chat.completions.create(**{**request, "messages": turns, "tool_choice": "none"})
    assert second.choices[0].message.content
    assert second.choices[0].finish_reason in ("stop", "length")
    if home.endswith("echo"):
        assert second.choices[0].message.content == "It is sunny."


@pytest.mark.parametrize("home", ["echo", "far-echo"])
def test_calls_of_its_own_choice(client: openai.OpenAI, home: str) -> None:
    """With ``auto``, text and two calls, streamed in pieces through the helper."""
    with client.chat.completions.stream(**asked(home)) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    whole = client.chat.completions.create(**asked(home))
    for answer in (final, whole):
        message = answer.choices[0].message
        assert message.content == "1, 2, 3, 4, 5, 6, 7, 8, 9."
        assert [call.function.name for call in message.tool_calls or []] == [  # type: ignore[union-attr]
            "get_weather",
            "get_time",
        ]
        assert answer.choices[0].finish_reason == "tool_calls"
    deltas = [e for e in events if e.type == "tool_calls.function.arguments.delta"]
    assert len(deltas) > 1
    done = [e for e in events if e.type == "tool_calls.function.arguments.done"]
    assert [(e.name, json.loads(e.arguments)) for e in done] == [
        ("get_weather", {"city": "Paris", "metric": True}),
        ("get_time", {}),
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_arguments_parsed_with_a_pydantic_model(
    client: openai.OpenAI, home: str, streamed: bool
) -> None:
    """``pydantic_function_tool`` and back."""
    said = "Weather?"
    if home.endswith("echo"):
        said = '[[tool GetWeather {"city": "Rome", "metric": false}]]'
    request: Any = {
        "model": home,
        "messages": [{"role": "user", "content": said}],
        "tools": [openai.pydantic_function_tool(GetWeather)],
        "tool_choice": "required",
        "max_tokens": 100,
    }
    if streamed:
        with client.chat.completions.stream(**request) as stream:
            answer = stream.get_final_completion()
    else:
        answer = client.chat.completions.parse(**request)
    calls = answer.choices[0].message.tool_calls or []
    assert calls
    assert all(isinstance(call.function.parsed_arguments, GetWeather) for call in calls)
    assert answer.choices[0].finish_reason == "tool_calls"


@pytest.mark.slow  # starts another home
def test_a_model_that_writes_no_calls_is_not_asked_for_any(client: openai.OpenAI) -> None:
    """With ``auto`` a model without a format for calls would only seem to have been told of tools."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**asked("untaught", tool_choice="auto"))
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "tools")
    answer = client.chat.completions.create(**asked("untaught", tool_choice=NAMED))
    assert answer.choices[0].finish_reason == "tool_calls"
