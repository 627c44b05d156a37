"""A server's embeddings: passed on as they are where they have the form that the client asked for."""

from __future__ import annotations

import binascii
import re
import struct
from typing import ClassVar

import msgspec
from msgspec import Raw, Struct

from hoonify_router.adapters.dialects import BROKEN, UNREADABLE, Dialect, Said, complain
from hoonify_router.adapters.moulds import TEXT, Shape
from hoonify_router.answer import Answer
from hoonify_router.embeddings import Embeddings
from hoonify_router.errors import BrokenAnswer
from hoonify_router.types import Task

_NUMBERS = re.compile(rb"\[\s*-?[0-9][-+0-9.eE,\s]*\]")
_HUGE = re.compile(rb"(?<![0-9.])[0-9]{40}|[eE]\+?[0-9]{3}")  # more than a float32 can be
_BASE64 = re.compile(rb'"[A-Za-z0-9+/]+={0,2}"')
_numbers = msgspec.json.Decoder(list[float]).decode


class _Embedding(Struct):
    embedding: Raw
    index: int | None = None


class _List(Said):
    data: list[_Embedding] | None = None


_decode = msgspec.json.Decoder(_List).decode


class EmbeddingDialect(Dialect):
    """Understands one list of embeddings."""

    __slots__ = ()

    task: ClassVar[Task] = "embedding"
    shape: ClassVar[Shape] = TEXT

    def tell(self, data: bytes, answer: Answer) -> bool:
        """Refuse: there are no streams of embeddings."""
        answer.fail(BrokenAnswer(BROKEN))
        return False

    def pour(self, body: bytes, answer: Answer) -> None:
        """Tell ``answer`` what a list says, to its end."""
        try:
            told = _decode(body)
        except UNREADABLE:
            answer.fail(BrokenAnswer(BROKEN))
            return
        if (told.error is not None or told.data is None) and complain(
            told, body, self.task, answer
        ):
            return
        assert isinstance(answer, Embeddings)
        for place, one in enumerate(told.data or ()):
            try:
                _pour(bytes(one.embedding), answer, place if one.index is None else one.index)
            except (ValueError, OverflowError, struct.error):
                answer.fail(BrokenAnswer(BROKEN))
        if told.usage is not None:
            answer.count(told.usage.as_usage())
        answer.complete()


def _pour(vector: bytes, answer: Embeddings, index: int) -> None:
    """Tell one vector; that it is JSON is known, but not of what kind.

    Raises:
        ValueError: It is no vector.
    """
    if _NUMBERS.fullmatch(vector):
        if _HUGE.search(vector):
            raise ValueError("no number")
        if answer.base64:
            numbers = _numbers(vector)
            answer.embedding(struct.pack(f"<{len(numbers)}f", *numbers), index)
        else:
            answer.written(vector, vector.count(b",") + 1, index)
    elif _BASE64.fullmatch(vector):
        packed = binascii.a2b_base64(vector[1:-1], strict_mode=True)
        highest = packed[
            3::4
        ]  # what is not finite has one of these there, and hardly anything else has
        odd = b"\x7f" in highest or b"\xff" in highest or len(packed) % 4
        if answer.base64 and packed and not odd:
            answer.written(vector, len(packed) // 4, index)
        else:
            answer.embedding(packed, index)
    else:
        raise ValueError("no vector")
