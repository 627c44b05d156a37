"""Which request fields the library engines honour. Read in the router's processes: imports nothing heavy."""

from __future__ import annotations

from typing import Literal

from hoonify_router.types import Task

ToolParser = Literal["hermes", "json", "llama3_json", "mistral", "pythonic"]
"""The ways in which models write calls of functions; ``tools.formats`` reads and writes each."""

PARAMETERS = frozenset(
    {
        "chat_template_kwargs",
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
"""Fields of chat and completion requests that are honoured, besides those that the router takes care of."""

TASKS: frozenset[Task] = frozenset({"chat", "completion"})
"""What an engine that reads its requests with ``PromptReader`` may be asked for."""
