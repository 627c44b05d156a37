"""What the log may say of a failed answer: its beginning, unless it repeats what the client asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from hoonify_router.logs import prompts_wanted
from hoonify_router.types import InferenceRequest

_LENGTH = 500
_TELLING = 6  # shorter texts stand in any answer by chance
_PIECE = 24
_WORDS_OF_OURS = frozenset({"role", "type"})
_ASKED = ("messages", "prompt", "input", "tools", "suffix")


def excerpt(body: bytes, request: InferenceRequest) -> str:
    """Return the beginning of ``body`` for the log.

    Args:
        body: What a home has answered.
        request: What it was asked: nothing of it is told, unless the operator wants prompts in the log.
    """
    if not prompts_wanted():
        text = body.decode(errors="replace")
        for asked in _texts([getattr(request, name, None) for name in _ASKED]):
            piece = asked[:_PIECE]
            if piece in text or json.dumps(piece)[1:-1] in text:
                return f"({len(body)} bytes that repeat what was asked)"
    return repr(body[:_LENGTH])


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in ``value`` that are long enough to be known again."""
    if isinstance(value, str):
        if len(value) >= _TELLING:
            yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in _WORDS_OF_OURS:
                yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            if name not in _WORDS_OF_OURS:
                yield from _texts(getattr(value, name))
