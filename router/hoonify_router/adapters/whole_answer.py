"""A server home's answer in one piece, made into exactly OpenAI's schema."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from hoonify_router.adapters.refusals import stream_refusal
from hoonify_router.adapters.sse import tell_finish
from hoonify_router.adapters.usage import ServerUsage
from hoonify_router.answer import Answer
from hoonify_router.errors import EngineDead

_BROKEN = "The model's engine sent an answer that makes no sense."
_KNOWN_PARTS = frozenset(
    {"refusal", "tool_calls", "function_call", "annotations", "audio", "reasoning_content"}
)
_MEANINGLESS = frozenset({b"null", b'""', b"[]"})


class _Choice(Struct):
    message: dict[str, Raw]
    index: int = 0
    finish_reason: str | None = None
    logprobs: Raw | None = None


class _Completion(Struct):
    choices: list[_Choice] | None = None
    usage: ServerUsage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Completion).decode
_decode_text = msgspec.json.Decoder(str | None).decode


def pour_completion(body: bytes, answer: Answer) -> None:
    """Tell ``answer`` what a server's completion says; what OpenAI's schema does not know is left out."""
    try:
        completion = _decode(body)
        if completion.error is not None:
            answer.fail(stream_refusal(completion.error))
            return
        for choice in completion.choices or ():
            _pour_choice(choice, answer)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        answer.fail(EngineDead(_BROKEN))
        return
    if completion.usage is not None:
        answer.count(completion.usage.as_usage())
    answer.complete()


def _pour_choice(choice: _Choice, answer: Answer) -> None:
    index = choice.index
    content = _decode_text(choice.message.get("content", b"null"))
    if content is not None:
        answer.text(content, index)
    parts = {
        name: value
        for name, value in choice.message.items()
        if name in _KNOWN_PARTS and bytes(value) not in _MEANINGLESS
    }
    logprobs = choice.logprobs
    if logprobs is not None and bytes(logprobs) == b"null":
        logprobs = None
    if parts or logprobs is not None:
        answer.parts(parts, index, logprobs)
    if choice.finish_reason:
        tell_finish(choice.finish_reason, answer, index)
