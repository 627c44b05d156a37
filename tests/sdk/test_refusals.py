"""What a home cannot honour is refused by name, whichever kind of home it is; nothing is dropped."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sdk.cases import SCHEMA, TOOLS
from tests.sdk.conftest import HOMES
from tests.sdk.referees import check_error
from tests.sdk.wire import Wire

SAID: Any = [{"role": "user", "content": "Hello!"}]
IMAGE: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
FUNCTION: Any = {"name": "f", "parameters": {"type": "object"}}

NOBODY: dict[str, tuple[dict[str, Any], str]] = {
    "store": ({"store": True}, "store"),
    "functions": ({"functions": [FUNCTION]}, "functions"),
    "function_call": ({"functions": [FUNCTION], "function_call": {"name": "f"}}, "functions"),
    "prediction": ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
    "audio": (
        {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
        "modalities",
    ),
    "web_search": ({"web_search_options": {}}, "web_search_options"),
    "verbosity": ({"verbosity": "low"}, "verbosity"),
    "effort": ({"reasoning_effort": "high"}, "reasoning_effort"),
    "obfuscation": (
        {"stream": True, "stream_options": {"include_obfuscation": True}},
        "stream_options.include_obfuscation",
    ),
    "image": ({"messages": [{"role": "user", "content": [IMAGE]}]}, "messages[0].content[0]"),
    "custom tool": ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
}
"""What no home here honours: the request, and what the refusal names."""

ECHO: dict[str, tuple[dict[str, Any], str]] = {
    name: ({name: value}, name)
    for name, value in {
        "temperature": 0,
        "top_p": 0.5,
        "seed": 1,
        "frequency_penalty": 1,
        "presence_penalty": -1,
        "logit_bias": {"1": 1},
        "response_format": SCHEMA,
        "top_k": 5,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "ignore_eos": True,
        "chat_template_kwargs": {"thinking": True},
    }.items()
}
"""What only a model can honour."""

CASES = [
    pytest.param(home, *case, id=f"{home}-{name}")
    for home in HOMES
    for name, case in (NOBODY | (ECHO if home.endswith("echo") else {})).items()
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("home", "fields", "param"), CASES)
def test_it_is_refused_by_name(
    wire: Wire, home: str, fields: dict[str, Any], param: str, stream: bool
) -> None:
    """400, `unsupported_parameter`, and the field; before any stream begins."""
    request = {"model": home, "messages": SAID, "stream": stream, **fields}
    check_refused(wire, "/v1/chat/completions", request, param)


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize(("name", "value"), [("suffix", "x"), ("best_of", 2)])
def test_plain_completions_refuse_by_name_too(wire: Wire, home: str, name: str, value: Any) -> None:
    """Nobody fills in the middle, nobody draws more than asked."""
    check_refused(wire, "/v1/completions", {"model": home, "prompt": "Hello!", name: value}, name)


def check_refused(wire: Wire, path: str, request: dict[str, Any], param: str) -> None:
    exchange = wire.post(path, request)
    assert exchange.status == 400, exchange.body
    check_error(exchange.json)
    error = exchange.json["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "unsupported_parameter")
    assert error["param"] == param
    assert param in error["message"]


@pytest.mark.parametrize("home", HOMES)
def test_what_asks_for_nothing_is_accepted(wire: Wire, home: str) -> None:
    """Defaults that clients spell out, and hints that change no token."""
    neutral: dict[str, Any] = {
        "temperature": 1,
        "top_p": 1,
        "n": 1,
        "frequency_penalty": 0,
        "presence_penalty": 0,
        "logit_bias": {},
        "logprobs": False,
        "stop": [],
        "tools": [],
        "parallel_tool_calls": True,
        "response_format": {"type": "text"},
        "modalities": ["text"],
        "verbosity": "medium",
        "stream_options": None,
        "metadata": {"a": "b"},
        "store": False,
        "service_tier": "default",
        "user": "ada",
        "seed": None,
        "max_tokens": 20,
    }
    exchange = wire.post("/v1/chat/completions", {"model": home, "messages": SAID, **neutral})
    assert exchange.status == 200, exchange.body


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tools": TOOLS, "tool_choice": "sometimes"}, (422, "invalid_value", "tool_choice")),
        ({"tool_choice": "required"}, (422, "invalid_value", "tool_choice")),
        ({"top_logprobs": 3}, (422, "invalid_value", "top_logprobs")),
        ({"n": 0}, (422, "invalid_value", "n")),
        ({"stop": ["a", "b", "c", "d", "e"]}, (422, "invalid_value", "stop")),
        ({"stream_options": {"include_usage": True}}, (422, "invalid_value", "stream_options")),
        ({"max_tokens": 0}, (422, "invalid_value", "max_tokens")),
        ({"n": "two"}, (400, "invalid_type", "n")),
    ],
)
def test_mistakes_are_told_the_same_everywhere(
    wire: Wire, home: str, fields: Any, expected: tuple[int, str, str]
) -> None:
    """They are found before any home is asked."""
    exchange = wire.post("/v1/chat/completions", {"model": home, "messages": SAID, **fields})
    check_error(exchange.json)
    error = exchange.json["error"]
    assert (exchange.status, error["code"], error["param"]) == expected
