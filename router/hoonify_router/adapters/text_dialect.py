"""A server's plain completions: a stream's chunks have the shape of the whole answer."""

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
from hoonify_router.adapters.moulds import TEXT, Shape
from hoonify_router.answer import Answer
from hoonify_router.errors import BrokenAnswer
from hoonify_router.logprobs import as_number
from hoonify_router.types import Task


class _Logprobs(Struct, omit_defaults=True):
    """OpenAI's four lists; numbers that a server does not tell, as of a first token, are there all the same."""

    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float | None] | None] | None = None
    text_offset: list[int] | None = None

    def __post_init__(self) -> None:
        if self.token_logprobs is not None:
            self.token_logprobs = [as_number(one) for one in self.token_logprobs]
        if self.top_logprobs is not None:
            self.top_logprobs = [
                {token: as_number(one) for token, one in (top or {}).items()}
                for top in self.top_logprobs
            ]


class _Choice(Struct):
    index: int = 0
    text: str | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Completion(Said):
    choices: list[_Choice] | None = None


_decode = msgspec.json.Decoder(_Completion).decode


class TextDialect(Dialect):
    """Understands one plain completion."""

    __slots__ = ()

    task: ClassVar[Task] = "completion"
    shape: ClassVar[Shape] = TEXT

    def tell(self, data: bytes, answer: Answer) -> bool:
        """Tell ``answer`` what a chunk says; return whether others will look like it."""
        try:
            completion = _decode(data)
        except UNREADABLE:
            answer.fail(BrokenAnswer(BROKEN))
            return False
        if (completion.error is not None or completion.choices is None) and complain(
            completion, data, self.task, answer
        ):
            return False
        goes_on = bool(completion.choices)
        for choice in completion.choices or ():
            if choice.logprobs is not None and choice.logprobs.tokens:
                parts = {"content": choice.text or ""}
                answer.parts(parts, choice.index, choice.logprobs)
            elif choice.text:
                answer.text(choice.text, choice.index)
            if choice.finish_reason:
                tell_finish(choice.finish_reason, answer, choice.index)
                goes_on = False
        if completion.usage is not None:
            answer.count(completion.usage.as_usage())
        return goes_on

    def pour(self, body: bytes, answer: Answer) -> None:
        """Tell ``answer`` what an answer in one piece says, to its end."""
        self.tell(body, answer)
        answer.complete()
