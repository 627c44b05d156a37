"""The matrix of requests: dimensions, and rows in which every two values of two dimensions meet once."""

from __future__ import annotations

import itertools
import random
from typing import Any

Fields = dict[str, Any]

COUNTING = "1, 2, 3, 4, 5, 6, 7, 8, 9."
"""What tiny-chat says when it is told to count to nine, and echo when it is told just this."""

WEATHER: Fields = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Paris", "Rome"]},
        "metric": {"type": "boolean"},
    },
    "required": ["city", "metric"],
    "additionalProperties": False,
}
TOOLS: list[Fields] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Return the weather of a city.",
            "parameters": WEATHER,
            "strict": True,
        },
    },
    {"type": "function", "function": {"name": "get_time"}},
]
ARGUMENTS = '{"city": "Paris", "metric": true}'
CALL: Fields = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": ARGUMENTS},
}
SCHEMA: Fields = {
    "type": "json_schema",
    "json_schema": {"name": "weather", "strict": True, "schema": WEATHER},
}

STREAMING: dict[str, Fields] = {
    "whole": {},
    "stream-false": {"stream": False},
    "stream": {"stream": True},
    "usage": {"stream": True, "stream_options": {"include_usage": True}},
    "no-usage": {"stream": True, "stream_options": {"include_usage": False}},
}
CHOICES: dict[str, Fields] = {"one": {}, "n=1": {"n": 1}, "n=3": {"n": 3}}
STOPS: dict[str, Fields] = {
    "no-stop": {},
    "stop-text": {"stop": "5"},
    "stop-list": {"stop": ["nowhere", "4, 5", "?!", "\n\n"]},
}
LIMITS: dict[str, Fields] = {
    "max-4": {"max_tokens": 4},
    "completion-max-6": {"max_completion_tokens": 6},
    "max-60": {"max_tokens": 60},
}
SAMPLING: dict[str, Fields] = {
    "as-it-is": {},
    "greedy": {"temperature": 0},
    "seeded": {"temperature": 1, "seed": 7},
    "nucleus": {"temperature": 1.5, "top_p": 0.5, "seed": -3},
    "frequency": {"temperature": 0, "frequency_penalty": 1.5},
    "presence": {"presence_penalty": -1, "seed": 1},
    "bias": {"logit_bias": {"17": -100, "300": 2}},
}
LOGPROBS: dict[str, Fields] = {
    "no-logprobs": {},
    "logprobs-false": {"logprobs": False},
    "logprobs": {"logprobs": True},
    "top-0": {"logprobs": True, "top_logprobs": 0},
    "top-5": {"logprobs": True, "top_logprobs": 5},
    "top-20": {"logprobs": True, "top_logprobs": 20},
}
FORMS: dict[str, Fields] = {
    "free": {"response_format": {"type": "text"}},
    "json": {"response_format": {"type": "json_object"}},
    "schema": {"response_format": SCHEMA},
    "tools": {"tools": TOOLS},
    "tools-auto": {"tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": True},
    "tools-none": {"tools": TOOLS, "tool_choice": "none"},
    "tools-required": {"tools": TOOLS, "tool_choice": "required"},
    "tools-one": {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
    "tools-named": {
        "tools": TOOLS,
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    },
}
METADATA: dict[str, Fields] = {
    "bare": {},
    "user": {"user": "ada"},
    "metadata": {"metadata": {"team": "red"}, "store": False},
    "hints": {
        "service_tier": "auto",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "modalities": ["text"],
    },
}
TURNS: dict[str, list[Fields]] = {
    "alone": [],
    "system": [{"role": "system", "content": "Be brief."}],
    "developer": [{"role": "developer", "content": "Be brief.", "name": "boss"}],
    "history": [
        {"role": "user", "content": "My name is Ada.", "name": "ada"},
        {"role": "assistant", "content": "Nice to meet you, Ada."},
    ],
    "tool": [
        {"role": "user", "content": "How is the weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "assistant", "content": "It is sunny."},
    ],
}
CONTENTS = ("string", "parts")


def everything(home: str) -> dict[str, dict[str, Any]]:
    """Return the dimensions of what ``home`` honours."""
    scripted = home.endswith("echo")
    forms = {name: fields for name, fields in FORMS.items() if name != "schema" or not scripted}
    return {
        "streaming": STREAMING,
        "choices": CHOICES,
        "stops": STOPS,
        "limits": LIMITS,
        "sampling": {"as-it-is": {}} if scripted else SAMPLING,
        "logprobs": LOGPROBS,
        "forms": forms,
        "metadata": METADATA,
        "turns": TURNS,
        "contents": dict.fromkeys(CONTENTS),
    }


def request_of(home: str, row: dict[str, str]) -> Fields:
    """Return the request that a row of names stands for."""
    dimensions = everything(home)
    request: Fields = {"model": home}
    for name, value in row.items():
        if name not in ("turns", "contents"):
            request.update(dimensions[name][value])
    request["messages"] = messages(home, request, row["turns"], row["contents"])
    return request


def messages(
    home: str, request: Fields, turns: str = "alone", content: str = "string"
) -> list[Fields]:
    """Return a conversation whose answer is long enough to be counted, cut and called in."""
    said = "Count from 1 to 9."
    if home.endswith("echo"):
        said = COUNTING
        if (request.get("response_format") or {}).get("type") == "json_object":
            said = '{"counted": [1, 2, 3, 4, 5, 6], "done": true}'
        if request.get("tools"):
            said += f"[[tool get_weather {ARGUMENTS}]][[tool get_time]]"
    parts = [{"type": "text", "text": piece} for piece in (said[:5], said[5:])]
    last = {"role": "user", "content": said if content == "string" else parts}
    return [*TURNS[turns], last]


def pairs(dimensions: dict[str, dict[str, Any]], seed: int = 1) -> list[dict[str, str]]:
    """Return rows in which every two values of two dimensions meet at least once."""
    draw = random.Random(seed)
    names = list(dimensions)
    missing = {
        ((a, x), (b, y))
        for a, b in itertools.combinations(names, 2)
        for x in dimensions[a]
        for y in dimensions[b]
    }
    rows = []
    while missing:
        best: dict[str, str] = {}
        most: set[Any] = set()
        (a, x), (b, y) = min(missing)
        for _ in range(30):
            row = {name: draw.choice(list(dimensions[name])) for name in names} | {a: x, b: y}
            new = missing & set(itertools.combinations(row.items(), 2))
            if len(new) > len(most):
                best, most = row, new
        rows.append(best)
        missing -= most
    return rows
