"""The request fields that SGLang honours; any other it would drop without a word."""

from __future__ import annotations

PARAMETERS = frozenset(
    {
        "chat_template_kwargs",
        "dimensions",
        "echo",
        "frequency_penalty",
        "ignore_eos",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "min_p",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "repetition_penalty",
        "response_format",
        "seed",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
    }
)
"""What its endpoints take."""

TOOL_PARAMETERS = frozenset({"parallel_tool_calls", "tool_choice", "tools"})
"""What only a server with a parser for tool calls honours."""
