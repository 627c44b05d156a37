"""What engines answer with: the events that their iterators yield.

``index`` tells which of a request's answers (``n``, prompts, inputs) an event belongs to.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Usage(Struct, omit_defaults=True):
    """Tokens of one request, as the engine counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class TokenLogprob(Struct, array_like=True):
    """How probable one token of the answer was, by the model's own distribution.

    Args:
        token: The token's bytes; a token may be part of a character only.
        logprob: Natural logarithm of its probability, before temperature, penalties or constraints.
        top: The likeliest tokens in its place with theirs, most probable first; as many as were asked for.
    """

    token: bytes
    logprob: float
    top: list[tuple[bytes, float]] = []


class Text(Struct, tag="text", array_like=True):
    """A piece of the answer; never half a character, never part of a stop string.

    ``logprobs`` tells of the tokens whose text ends in this piece, when the client asked; the text may be
    empty then.
    """

    text: str
    index: int = 0
    logprobs: list[TokenLogprob] | None = None


class Reasoning(Struct, tag="reasoning", array_like=True):
    """A piece of what the model thinks before it answers."""

    text: str
    index: int = 0


class ToolCall(Struct, tag="tool_call", array_like=True):
    """A piece of a call of a function.

    Args:
        number: Which call of this answer, from 0, without gaps.
        name: The function's name with the first piece of a call, empty with every other.
        arguments: The next piece of the arguments, which joined are JSON.
        index: Which answer.
    """

    number: int
    name: str = ""
    arguments: str = ""
    index: int = 0


class Embedded(Struct, tag="embedding", array_like=True):
    """The vector of one input: little-endian float32, as many as the model has dimensions."""

    vector: bytes
    index: int = 0


class Finish(Struct, tag="finish", array_like=True):
    """The answer with this index is complete."""

    reason: FinishReason
    index: int = 0


class Counted(Struct, tag="usage", array_like=True):
    """The request's token counts; the last event of every request, also of one that was cut short."""

    usage: Usage


class Failure(Struct, tag="error", array_like=True):
    """The request failed; nothing follows. ``kind`` is a class name out of ``errors``."""

    kind: str
    message: str
    param: str | None = None
    retry_after: float | None = None


Event = Text | Reasoning | ToolCall | Embedded | Finish | Counted | Failure
