"""The chunks of a plain completion's stream: OpenAI's older shape, the same as that of a whole answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from hoonify_router.answer import TEXT_FINISH_REASONS
from hoonify_router.chunks import Chunks
from hoonify_router.logprobs import TextLogprobs
from hoonify_router.types import TokenLogprob

_encode = msgspec.json.Encoder().encode


class TextChunks(Chunks):
    """Makes OpenAI's ``text_completion``, a piece of text at a time."""

    __slots__ = ("_logprobs",)

    kind: ClassVar[bytes] = b"text_completion"
    finish_reasons: ClassVar[frozenset[str]] = TEXT_FINISH_REASONS

    def __init__(self, answer_id: str, created: int, model: str, with_usage: bool) -> None:
        super().__init__(answer_id, created, model, with_usage)
        self._logprobs: dict[int, TextLogprobs] = {}

    def role(self, index: int, calls: bool = False) -> bytes:
        """Return nothing: here nobody has a role."""
        return b""

    def text(self, text: str, index: int) -> bytes:
        """Return a chunk with a piece of the answer."""
        return self._choice(index, _encode(text))

    def weighed(self, text: str, index: int, logprobs: Sequence[TokenLogprob]) -> bytes:
        """Return a chunk with a piece of the answer and how probable its tokens were."""
        gathered = self._logprobs.setdefault(index, TextLogprobs())
        gathered.add(logprobs)
        return self._choice(index, _encode(text), gathered.take())

    def around(self, thinks: bool) -> tuple[bytes, bytes]:
        """Return what stands before and after the text in a chunk of the first answer, its quotes included."""
        before = self._prefix + b'{"index":0,"text":"'
        return before, b'","logprobs":null,"finish_reason":null}' + self._end

    def parts(self, fields: Mapping[str, Any], index: int, logprobs: Any) -> bytes:
        """Return a chunk with the content among ``fields``; there is no place for anything else."""
        return self._choice(index, _encode(fields.get("content", "")), _encode(logprobs))

    def finish(self, reason: str, index: int) -> bytes:
        """Return the chunk that ends the answer with this index."""
        return self._choice(index, b'""', reason=_encode(reason))

    def _choice(
        self, index: int, text: bytes, logprobs: bytes = b"null", reason: bytes = b"null"
    ) -> bytes:
        return b'%b{"index":%d,"text":%b,"logprobs":%b,"finish_reason":%b}%b' % (
            self._prefix,
            index,
            text,
            logprobs,
            reason,
            self._end,
        )
