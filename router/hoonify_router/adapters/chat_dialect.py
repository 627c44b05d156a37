"""A server's answers to chats: as a stream, or in one piece."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import Struct

from hoonify_router.adapters.dialects import (
    BROKEN,
    UNREADABLE,
    Dialect,
    Said,
    complain,
    tell_finish,
)
from hoonify_router.adapters.moulds import CHAT, Shape
from hoonify_router.answer import Answer, CustomCall
from hoonify_router.errors import BrokenAnswer
from hoonify_router.logprobs import as_number
from hoonify_router.types import Task, ToolCall

# What OpenAI's schema knows of each object; a server's own extras are left out, what is missing is added.


class _Probability(Struct):
    token: str
    logprob: float | None = None
    bytes: list[int] | None = None

    def __post_init__(self) -> None:
        self.logprob = as_number(self.logprob)


class _TokenLogprob(_Probability):
    top_logprobs: list[_Probability] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.top_logprobs = self.top_logprobs or []


class _Logprobs(Struct):
    content: list[_TokenLogprob] | None = None
    refusal: list[_TokenLogprob] | None = None


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Custom(Struct):
    name: str | None = None
    input: str | None = None


class _Call(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None


class _FunctionCall(Struct, omit_defaults=True):
    name: str | None = None
    arguments: str | None = None


class _Audio(Struct, omit_defaults=True):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None


class _Place(Struct):
    start_index: int = 0
    end_index: int = 0
    title: str = ""
    url: str = ""


class _Annotation(Struct):
    type: str
    url_citation: _Place


class _Message(Struct):
    """A message, or a delta of one; thoughts have one of two names."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _FunctionCall | None = None
    audio: _Audio | None = None
    annotations: list[_Annotation] | None = None


class _Choice(Struct):
    index: int = 0
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Chat(Said):
    choices: list[_Choice] | None = None


_decode = msgspec.json.Decoder(_Chat).decode
_PARTS = ("refusal", "function_call", "audio")


class ChatDialect(Dialect):
    """Understands one answer to a chat."""

    __slots__ = ("_calls",)

    task: ClassVar[Task] = "chat"
    shape: ClassVar[Shape] = CHAT

    def __init__(self) -> None:
        self._calls: dict[tuple[int, int], tuple[int, str]] | None = None

    def tell(self, data: bytes, answer: Answer) -> bool:
        """Tell ``answer`` what a chunk says; return whether others will look like it."""
        try:
            chat = _decode(data)
        except UNREADABLE:
            answer.fail(BrokenAnswer(BROKEN))
            return False
        if (chat.error is not None or chat.choices is None) and complain(
            chat, data, self.task, answer
        ):
            return False
        goes_on = bool(chat.choices)
        for choice in chat.choices or ():
            if choice.delta is not None:
                self._tell(choice.delta, choice, answer)
            if choice.finish_reason:
                tell_finish(choice.finish_reason, answer, choice.index)
                goes_on = False
        if chat.usage is not None:
            answer.count(chat.usage.as_usage())
        return goes_on

    def pour(self, body: bytes, answer: Answer) -> None:
        """Tell ``answer`` what an answer in one piece says, to its end."""
        try:
            chat = _decode(body)
        except UNREADABLE:
            answer.fail(BrokenAnswer(BROKEN))
            return
        if (chat.error is not None or chat.choices is None) and complain(
            chat, body, self.task, answer
        ):
            return
        for choice in chat.choices or ():
            if choice.message is not None:
                self._tell(choice.message, choice, answer)
                if choice.message.annotations:
                    answer.parts({"annotations": choice.message.annotations}, choice.index)
            if choice.finish_reason:
                tell_finish(choice.finish_reason, answer, choice.index)
        if chat.usage is not None:
            answer.count(chat.usage.as_usage())
        answer.complete()

    def _tell(self, message: _Message, choice: _Choice, answer: Answer) -> None:
        index, logprobs = choice.index, choice.logprobs
        if thought := message.reasoning_content or message.reasoning:
            answer.reasoning(thought, index)
        parts = {name: value for name in _PARTS if (value := getattr(message, name))}
        if logprobs is not None and (logprobs.content or logprobs.refusal):
            if message.content:
                parts = {"content": message.content, **parts}
            answer.parts(parts, index, logprobs)
        else:
            if message.content:
                answer.text(message.content, index)
            if parts:
                answer.parts(parts, index)
        for place, call in enumerate(message.tool_calls or ()):
            if choice.delta is not None and call.index is not None:
                self._call(call, call.index, index, answer)
            else:
                self._call(call, place, index, answer)

    def _call(self, call: _Call, theirs: int, index: int, answer: Answer) -> None:
        """Tell a piece of a call, by our own count: some servers leave gaps, repeat a name or a number."""
        if self._calls is None:
            self._calls = {}
        kind: type[ToolCall]
        if call.custom is not None:
            kind, name, rest = CustomCall, call.custom.name, call.custom.input
        elif call.function is not None:
            kind, name, rest = ToolCall, call.function.name, call.function.arguments
        else:
            return
        known = self._calls.get((index, theirs))
        if known is None or (name and call.id and known[1] and call.id != known[1]):
            number = sum(1 for of, _ in self._calls if of == index)
            if known is not None:  # another call under the same number: the old one is complete
                self._calls[index, -1 - number] = known
            self._calls[index, theirs] = (number, call.id or "")
        else:
            number, name = known[0], ""
        answer.tool_call(kind(number, name or "", rest or "", index), call.id or "")
