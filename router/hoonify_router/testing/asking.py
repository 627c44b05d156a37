"""What to ask for to see whether a home honours a request field."""

from __future__ import annotations

from typing import Any

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Bonn", "Ulm"]}},
            "additionalProperties": False,
        },
    },
}
"""A tool that needs no argument."""

ASKING: dict[str, dict[str, Any]] = {
    "frequency_penalty": {"frequency_penalty": 0.5},
    "function_call": {
        "functions": [{"name": "f", "parameters": {"type": "object"}}],
        "function_call": "auto",
    },
    "functions": {"functions": [{"name": "f", "parameters": {"type": "object"}}]},
    "ignore_eos": {"ignore_eos": True},
    "logit_bias": {"logit_bias": {"5": 1}},
    "logprobs": {"logprobs": True},
    "max_completion_tokens": {"max_tokens": None, "max_completion_tokens": 4},
    "max_tokens": {"max_tokens": 4},
    "min_p": {"min_p": 0.1},
    "n": {"n": 2},
    "parallel_tool_calls": {
        "tools": [WEATHER],
        "parallel_tool_calls": False,
        "tool_choice": "none",
    },
    "presence_penalty": {"presence_penalty": 0.5},
    "reasoning_effort": {"reasoning_effort": "low"},
    "repetition_penalty": {"repetition_penalty": 1.1},
    "response_format": {"response_format": {"type": "json_object"}},
    "seed": {"seed": 3},
    "stop": {"stop": "\u2603"},
    "temperature": {"temperature": 0},
    "tool_choice": {"tools": [WEATHER], "tool_choice": "none"},
    "tools": {"tools": [WEATHER], "tool_choice": "none"},
    "top_k": {"top_k": 5},
    "top_logprobs": {"logprobs": True, "top_logprobs": 2},
    "top_p": {"top_p": 0.5},
    "verbosity": {"verbosity": "low"},
}
"""A value for each field that asks for something."""
