"""Values of the right type that make no sense, one row each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hoonify_router.errors import (
    InvalidType,
    InvalidValue,
    MissingParameter,
    RouterError,
    UnknownParameter,
    Unsupported,
)
from hoonify_router.parsing import parse_chat
from hoonify_router.validation import check_values

USER = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
DEEP: dict[str, Any] = {}
for _ in range(150):
    DEEP = {"a": [DEEP]}
WIDE = {str(number): {"type": "string"} for number in range(200)}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def read(messages: Any = None, **fields: Any) -> None:
    """Parse and check a chat request."""
    given = {"model": "m", "messages": [USER] if messages is None else messages, **fields}
    check_values(parse_chat(msgspec.json.encode(given)))


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": 3}, "temperature"),
    ({"top_p": -0.1}, "top_p"),
    ({"top_p": 1.01}, "top_p"),
    ({"frequency_penalty": -2.1}, "frequency_penalty"),
    ({"frequency_penalty": 2.1}, "frequency_penalty"),
    ({"presence_penalty": -2.1}, "presence_penalty"),
    ({"presence_penalty": 2.1}, "presence_penalty"),
    ({"min_p": -0.1}, "min_p"),
    ({"min_p": 1.1}, "min_p"),
    ({"top_k": -2}, "top_k"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"repetition_penalty": 2.5}, "repetition_penalty"),
    ({"seed": 2**63}, "seed"),
    ({"seed": -(2**63) - 1}, "seed"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -5}, "max_tokens"),
    ({"max_tokens": 2**63}, "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"top_logprobs": -1, "logprobs": True}, "top_logprobs"),
    ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"top_logprobs": 2, "logprobs": False}, "top_logprobs"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream_options": {}, "stream": False}, "stream_options"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"stop": ""}, "stop"),
    ({"stop": ["a", ""]}, "stop[1]"),
    ({"logit_bias": {"50256": -101}}, "logit_bias.50256"),
    ({"logit_bias": {"1": 1, "50256": 101}}, "logit_bias.50256"),
    ({"logit_bias": {"hello": 1}}, "logit_bias.hello"),
    ({"logit_bias": {"1": 1, "12345678901": 1}}, "logit_bias.12345678901"),
    ({"metadata": {str(i): "x" for i in range(17)}}, "metadata"),
    ({"metadata": {"a": "x", "k" * 65: "x"}}, f"metadata.{'k' * 65}"),
    ({"metadata": {"k": "x" * 513}}, "metadata.k"),
    ({"reasoning_effort": "enormous"}, "reasoning_effort"),
    ({"verbosity": "chatty"}, "verbosity"),
    ({"modalities": []}, "modalities"),
    ({"modalities": ["smell"]}, "modalities[0]"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b"}}},
        "response_format.json_schema.name",
    ),
    ({"tools": [{"type": "oracle"}]}, "tools[0].type"),
    ({"tools": [TOOL, {"type": "function", "function": {"name": ""}}]}, "tools[1].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "x" * 65}}]}, "tools[0].function.name"),
    ({"tools": [TOOL] * 129}, "tools"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": "any", "tools": [TOOL]}, "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
    (
        {"tool_choice": {"type": "function", "function": {"name": "f"}}, "tools": [TOOL]},
        "tool_choice.function.name",
    ),
    (
        {"tool_choice": {"type": "custom", "custom": {"name": "get_weather"}}, "tools": [TOOL]},
        "tool_choice.custom.name",
    ),
    (
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [TOOL, {"type": "function"}]},
            },
            "tools": [TOOL],
        },
        "tool_choice.allowed_tools.tools[1]",
    ),
    ({"tools": [{"type": "function", "function": {"name": "f\n"}}]}, "tools[0].function.name"),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": DEEP}}]},
        "tools",
    ),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": 2**70}}}]},
        "tools",
    ),
    ({"chat_template_kwargs": DEEP}, "chat_template_kwargs"),
    ({"chat_template_kwargs": {"a": -(2**63) - 1}}, "chat_template_kwargs"),
    ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call.name"),
    (
        {"moderation": {"model": "m", "policy": {"input": {"mode": "x"}}}},
        "moderation.policy.input.mode",
    ),
    ({"service_tier": "gold"}, "service_tier"),
    ({"safety_identifier": "x" * 65}, "safety_identifier"),
    ({"prompt_cache_options": {"ttl": "5m"}}, "prompt_cache_options.ttl"),
    ({"audio": {"voice": "alloy", "format": "ogg"}}, "audio.format"),
    ({"tool_choice": {"type": "magic"}, "tools": [TOOL]}, "tool_choice.type"),
    ({"function_call": {"name": "f"}}, "function_call"),
    ({"function_call": "always", "functions": [{"name": "f"}]}, "function_call"),
    ({"functions": [{"name": "f"}] * 129}, "functions"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    (
        {"messages": [{"role": "system", "content": [IMAGE]}]},
        "messages[0].content[0].type",
    ),
    (
        {"messages": [USER, {"role": "assistant", "content": [IMAGE]}]},
        "messages[1].content[0].type",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "refusal", "refusal": "no"}]}]},
        "messages[0].content[0].type",
    ),
    (
        {"messages": [{"role": "user", "content": "x", "tool_calls": [CALL]}]},
        "messages[0].tool_calls",
    ),
]


@pytest.mark.parametrize(("fields", "param"), IMPOSSIBLE)
def test_an_impossible_value_is_422_with_its_path(fields: dict[str, Any], param: str) -> None:
    """The message begins with the path, so that a reader of logs finds it, too."""
    with pytest.raises(InvalidValue) as caught:
        read(**fields)
    assert caught.value.status == 422
    assert caught.value.param == param
    assert f"'{param}'" in caught.value.message


INCOMPLETE: list[tuple[dict[str, Any], type[RouterError], str]] = [
    ({"messages": [{"role": "user"}]}, MissingParameter, "messages[0].content"),
    ({"messages": [{"role": "user", "content": None}]}, MissingParameter, "messages[0].content"),
    ({"messages": [{"role": "system"}]}, MissingParameter, "messages[0].content"),
    ({"messages": [{"role": "developer"}]}, MissingParameter, "messages[0].content"),
    ({"messages": [USER, {"role": "assistant"}]}, MissingParameter, "messages[1].content"),
    (
        {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
        MissingParameter,
        "messages[0].content",
    ),
    (
        {"messages": [{"role": "tool", "content": "5"}]},
        MissingParameter,
        "messages[0].tool_call_id",
    ),
    (
        {"messages": [{"role": "tool", "tool_call_id": "c1"}]},
        MissingParameter,
        "messages[0].content",
    ),
    (
        {"messages": [{"role": "function", "content": "5"}]},
        MissingParameter,
        "messages[0].name",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"type": "function"}]}]},
        MissingParameter,
        "messages[0].tool_calls[0].id",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "function"}]}]},
        MissingParameter,
        "messages[0].tool_calls[0].function",
    ),
    (
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}],
                }
            ]
        },
        MissingParameter,
        "messages[0].tool_calls[0].function.arguments",
    ),
    (
        {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]},
        MissingParameter,
        "messages[0].function_call.arguments",
    ),
    (
        {"messages": [{**USER, "colour": "red"}]},
        UnknownParameter,
        "messages[0].colour",
    ),
    ({"tools": [{**TOOL, "colour": "red"}]}, UnknownParameter, "tools[0].colour"),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "strict": 1}}]},
        InvalidType,
        "tools[0].function.strict",
    ),
    ({"audio": {"voice": 5, "format": "wav"}}, InvalidType, "audio.voice"),
    ({"prediction": {"type": "content"}}, MissingParameter, "prediction.content"),
    ({"prediction": {"content": "a"}}, MissingParameter, "prediction.type"),
    ({"moderation": {}}, MissingParameter, "moderation.model"),
    (
        {"web_search_options": {"user_location": {}}},
        MissingParameter,
        "web_search_options.user_location.type",
    ),
    ({"tools": [{}]}, MissingParameter, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, MissingParameter, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {}}]}, MissingParameter, "tools[0].function.name"),
    ({"tools": [{"type": 5}]}, InvalidType, "tools[0].type"),
    ({"tools": [{"type": "function", "function": "f"}]}, InvalidType, "tools[0].function"),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]},
        InvalidType,
        "tools[0].function.parameters",
    ),
    ({"tools": [TOOL], "tool_choice": {}}, MissingParameter, "tool_choice.type"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function"}},
        MissingParameter,
        "tool_choice.function",
    ),
    ({"functions": [{}]}, MissingParameter, "functions[0].name"),
    (
        {"functions": [{"name": "f"}], "function_call": {}},
        MissingParameter,
        "function_call.name",
    ),
    ({"response_format": {}}, MissingParameter, "response_format.type"),
    ({"response_format": {"type": 5}}, InvalidType, "response_format.type"),
    (
        {"response_format": {"type": "json_schema"}},
        MissingParameter,
        "response_format.json_schema",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": 5}}},
        InvalidType,
        "response_format.json_schema.schema",
    ),
    (
        {"stream": True, "stream_options": {"include_obfuscation": True}},
        Unsupported,
        "stream_options.include_obfuscation",
    ),
]


@pytest.mark.parametrize(("fields", "kind", "param"), INCOMPLETE)
def test_what_is_missing_or_of_another_type_is_400(
    fields: dict[str, Any], kind: type[RouterError], param: str
) -> None:
    """Inside of the objects that the parser takes as they are."""
    with pytest.raises(kind) as caught:
        read(**fields)
    assert caught.value.status == 400
    assert caught.value.param == param


POSSIBLE: list[dict[str, Any]] = [
    {},
    {"temperature": 0},
    {"temperature": 2},
    {"top_p": 0},
    {"top_p": 1},
    {"frequency_penalty": -2, "presence_penalty": 2},
    {"max_tokens": 1},
    {"max_completion_tokens": 1},
    {"n": 128},
    {"seed": -5},
    {"top_k": -1},
    {"top_k": 0},
    {"repetition_penalty": 2},
    {"logprobs": True, "top_logprobs": 20},
    {"logprobs": False, "top_logprobs": 0},
    {"stop": ["a", "b", "c", "d"]},
    {"stop": []},
    {"stream": True, "stream_options": {"include_usage": True}},
    {"stream": True, "stream_options": {"include_obfuscation": False}},
    {"logit_bias": {"50256": -100}},
    {"metadata": {"k": "v"}, "user": "u", "service_tier": "auto", "store": False},
    {"reasoning_effort": "low", "verbosity": "high", "modalities": ["text"]},
    {"response_format": {"type": "text"}},
    {"response_format": {"type": "json_object"}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
    {"tools": [], "tool_choice": "auto"},
    {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    {"tools": [{"type": "custom", "custom": {"name": "c"}}]},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": None}}]},
    {"functions": [{"name": "f"}], "function_call": {"name": "f"}},
    {"function_call": "none"},
    {"messages": [{"role": "system", "content": "s"}, USER]},
    {"messages": [{"role": "developer", "content": [{"type": "text", "text": "s"}]}, USER]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]}]},
    {"messages": [USER, {"role": "assistant", "content": ""}, USER]},
    {"messages": [USER, {"role": "assistant", "content": None, "refusal": "no"}]},
    {
        "messages": [
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "5"},
        ]
    },
    {"messages": [{"role": "function", "name": "f", "content": "5"}]},
    {"messages": [{"role": "function", "name": "f", "content": None}]},
    {"messages": [{"role": "assistant", "content": "a", "annotations": [], "refusal": None}]},
    {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "index": 0}]}]},
    {
        "tools": [TOOL],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [TOOL]},
        },
    },
    {"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}, "prompt_cache_retention": "24h"},
    {"moderation": {"model": "m", "policy": {"input": {"mode": "block"}, "output": None}}},
    {"audio": {"voice": {"id": "v"}, "format": "wav"}, "modalities": ["text", "audio"]},
    {"prediction": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
    {
        "web_search_options": {
            "user_location": {"type": "approximate", "approximate": {"city": "Bonn"}},
            "search_context_size": "low",
        }
    },
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": WIDE}}]},
]


@pytest.mark.parametrize("fields", POSSIBLE)
def test_what_openai_takes_is_taken(fields: dict[str, Any]) -> None:
    """The edges of every range, and the forms that SDKs send."""
    read(**fields)
