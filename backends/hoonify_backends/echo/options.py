"""What ``options:`` of an echo home may say, and what such a home honours."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hoonify_router.types import Task

PARAMETERS = frozenset(
    {
        "dimensions",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "n",
        "parallel_tool_calls",
        "response_format",
        "stop",
        "tool_choice",
        "tools",
        "top_logprobs",
    }
)
"""Everything that needs no model. Nothing is sampled, so no sampling parameter is honoured."""

TASKS: frozenset[Task] = frozenset({"chat", "completion", "embedding"})


class EchoOptions(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How a home of the test instrument behaves; times are seconds."""

    reply: Annotated[
        Literal["last", "text"],
        Meta(description="Say the last user message again, or say `text` to everyone."),
    ] = "last"
    text: Annotated[str, Meta(description="What to say with `reply: text`.")] = "Hello from echo."
    magic: Annotated[
        bool, Meta(description="Obey `[[...]]` in the last user message; see the backend's docs.")
    ] = True
    token_delay: Annotated[float, Meta(description="Wait before each further token.", ge=0)] = 0
    first_token_delay: Annotated[float, Meta(description="Wait before the first token.", ge=0)] = 0
    slots: Annotated[int, Meta(description="Requests that run at the same time.", ge=1)] = 64
    queue: Annotated[int, Meta(description="Requests that may wait for a slot.", ge=0)] = 1024
    context_length: Annotated[
        int, Meta(description="Tokens (words) of prompt and answer together.", ge=1)
    ] = 8192
    dimensions: Annotated[
        int, Meta(description="Length of an embedding, unless a request wants fewer.", ge=1)
    ] = 64
    crash_after: Annotated[
        int | None, Meta(description="Kill the worker after so many tokens of any answer.")
    ] = None
    load_delay: Annotated[float, Meta(description="How long loading takes.", ge=0)] = 0
    load_silent: Annotated[bool, Meta(description="Show no progress while loading.")] = False
    load_error: Annotated[
        str, Meta(description="Fail to load, with this class of error, such as `OutOfMemory`.")
    ] = ""
    load_crash: Annotated[bool, Meta(description="Kill the worker while it loads.")] = False
    load_blocker: Annotated[str, Meta(description="Fail to load as long as this file exists.")] = ""
    load_blocker_error: Annotated[
        str, Meta(description="Fail with this class of error then, such as `OutOfMemory`.")
    ] = "RouterError"
