"""A server home's answer in one piece, made into exactly OpenAI's schema."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from hoonify_router.adapters.refusals import stream_refusal
from hoonify_router.adapters.sse import tell_finish
from hoonify_router.adapters.usage import ServerUsage
from hoonify_router.answer import Answer
from hoonify_router.errors import EngineDead

_BROKEN = "The model's engine sent an answer that makes no sense."


class _Message(Struct):
    """What OpenAI's schema knows of a message; a server's own extras are left out."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    function_call: dict[str, Any] | None = None
    annotations: list[dict[str, Any]] | None = None
    audio: dict[str, Any] | None = None

    @property
    def parts(self) -> dict[str, Any]:
        """Return everything that is there beside the texts."""
        names = ("refusal", "tool_calls", "function_call", "annotations", "audio")
        return {name: value for name in names if (value := getattr(self, name))}


class _Choice(Struct):
    message: _Message
    index: int = 0
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _Completion(Struct):
    choices: list[_Choice] | None = None
    usage: ServerUsage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Completion).decode


def pour_completion(body: bytes, answer: Answer) -> None:
    """Tell ``answer`` what a server's completion says; what OpenAI's schema does not know is left out."""
    try:
        completion = _decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        answer.fail(EngineDead(_BROKEN))
        return
    if completion.error is not None:
        answer.fail(stream_refusal(completion.error))
        return
    for choice in completion.choices or ():
        _pour_choice(choice, answer)
    if completion.usage is not None:
        answer.count(completion.usage.as_usage())
    answer.complete()


def _pour_choice(choice: _Choice, answer: Answer) -> None:
    message, index = choice.message, choice.index
    if message.reasoning_content:
        answer.reasoning(message.reasoning_content, index)
    if message.content is not None:
        answer.text(message.content, index)
    if (
        choice.logprobs is not None
        or message.tool_calls
        or message.refusal
        or message.function_call
        or message.annotations
        or message.audio
    ):
        answer.parts(message.parts, index, choice.logprobs)
    if choice.finish_reason:
        tell_finish(choice.finish_reason, answer, index)
