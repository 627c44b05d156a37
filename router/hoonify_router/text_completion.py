"""A plain completion in one piece: OpenAI's older shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from hoonify_router.answer import TEXT_FINISH_REASONS
from hoonify_router.completion import WholeAnswer
from hoonify_router.logprobs import TextLogprobs
from hoonify_router.types import TokenLogprob

_encode = msgspec.json.Encoder().encode


class _Choice:
    """What one of the answers has said so far."""

    __slots__ = ("finish_reason", "gathered", "logprobs", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.gathered: TextLogprobs | None = None
        self.logprobs: Any = None  # as a server told them
        self.finish_reason = ""

    def as_json(self, index: int) -> bytes:
        told = _encode(self.logprobs) if self.gathered is None else self.gathered.take()
        return b'{"index":%d,"text":%b,"logprobs":%b,"finish_reason":%b}' % (
            index,
            _encode("".join(self.texts)),
            told,
            _encode(self.finish_reason),
        )


class TextCompletion(WholeAnswer[_Choice]):
    """Collects the answer to a plain completion; the arguments are those of ``WholeAnswer``."""

    __slots__ = ()

    kind: ClassVar[bytes] = b"text_completion"
    reasons: ClassVar[frozenset[str]] = TEXT_FINISH_REASONS

    def _new_choice(self) -> _Choice:
        return _Choice()

    def text(
        self, text: str, index: int = 0, logprobs: Sequence[TokenLogprob] | None = None
    ) -> None:
        """Keep a piece of the answer, and how probable its tokens were."""
        if self._may_speak(index):
            self._mark_first()
            choice = self._choices[index]
            choice.texts.append(text)
            if logprobs is not None:
                if choice.gathered is None:
                    choice.gathered = TextLogprobs()
                choice.gathered.add(logprobs)

    def parts(self, fields: Mapping[str, Any], index: int = 0, logprobs: Any = None) -> None:
        """Keep the content among ``fields``; there is no place for anything else."""
        if self._may_speak(index):
            self._mark_first()
            choice = self._choices[index]
            choice.texts.append(fields.get("content", ""))
            if logprobs is not None:
                choice.logprobs = logprobs
