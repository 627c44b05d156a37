"""How probable tokens were, in the two shapes that OpenAI has for it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import msgspec

from hoonify_router.types import TokenLogprob

LEAST = -9999.0
"""Stands for minus infinity, which JSON does not know."""

_encode = msgspec.json.Encoder().encode


def as_number(logprob: float | None) -> float:
    """Return a logarithm that JSON can carry; OpenAI's word for *very unlikely* where there is none."""
    return logprob if logprob is not None and LEAST < logprob < inf else LEAST


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> bytes:
    """Return a chat's array of tokens as JSON.

    A token that is a part of a character only has U+FFFD for text; its ``bytes`` are exact.
    """
    return _encode(
        [
            {
                **_chat_token(one.token, one.logprob),
                "top_logprobs": [_chat_token(token, logprob) for token, logprob in one.top],
            }
            for one in tokens
        ]
    )


def _chat_token(token: bytes, logprob: float) -> dict[str, Any]:
    return {
        "token": token.decode("utf-8", "replace"),
        "logprob": as_number(logprob),
        "bytes": list(token),
    }


class TextLogprobs:
    """Gathers the tokens of one completion in the four lists of OpenAI's older shape.

    There is no place for bytes in it: a token that is no whole text is spelled ``bytes:\\xf0\\x9f``, as
    OpenAI does. The sampled token always stands among the likeliest. Offsets count characters of the
    answer, from its beginning.
    """

    __slots__ = ("_characters", "_offset", "_offsets", "_probabilities", "_tokens", "_tops")

    def __init__(self) -> None:
        self._characters = 0
        self._offset = 0
        self._clear()

    def _clear(self) -> None:
        self._tokens: list[str] = []
        self._probabilities: list[float] = []
        self._tops: list[dict[str, float]] = []
        self._offsets: list[int] = []

    def add(self, tokens: Sequence[TokenLogprob]) -> None:
        """Take the next tokens."""
        for one in tokens:
            spelled = _spell(one.token)
            logprob = as_number(one.logprob)
            top: dict[str, float] = {}
            for token, likely in one.top:
                top.setdefault(_spell(token), as_number(likely))
            top.setdefault(spelled, logprob)
            self._tokens.append(spelled)
            self._probabilities.append(logprob)
            self._tops.append(top)
            goes_on = bool(one.token) and one.token[0] & 0xC0 == 0x80  # within a character
            self._offset = max(self._offset, self._characters - goes_on)
            self._offsets.append(self._offset)
            self._characters += sum(byte & 0xC0 != 0x80 for byte in one.token)

    def take(self) -> bytes:
        """Return what was added since the last time, as JSON."""
        told = {
            "tokens": self._tokens,
            "token_logprobs": self._probabilities,
            "top_logprobs": self._tops,
            "text_offset": self._offsets,
        }
        data = _encode(told)
        self._clear()
        return data


def _spell(token: bytes) -> str:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)
