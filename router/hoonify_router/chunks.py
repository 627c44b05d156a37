"""The bytes of a stream's events; whatever is the same in every chunk of a stream is encoded once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from hoonify_router.identity import call_id
from hoonify_router.types import TokenLogprob, ToolCall, Usage

DONE = b"data: [DONE]\n\n"
PING = b": waiting\n\n"

_encode = msgspec.json.Encoder().encode


class Chunks(ABC):
    """Makes the chunks of one stream: one id, one time, one model.

    Args:
        answer_id: The answer's id; ASCII without quotes or backslashes.
        created: Unix time of the answer.
        model: Catalog ID that the client asked for.
        with_usage: Whether the client asked for usage; then every other chunk says ``"usage":null``.
    """

    __slots__ = ("_end", "_id", "_prefix", "with_usage")

    kind: ClassVar[bytes]
    """What ``object`` says."""

    finish_reasons: ClassVar[frozenset[str]]
    """What ``finish_reason`` may say."""

    def __init__(self, answer_id: str, created: int, model: str, with_usage: bool) -> None:
        self._id = answer_id
        self._prefix = b'data: {"id":"%b","object":"%b","created":%d,"model":%b,"choices":[' % (
            answer_id.encode("ascii"),
            self.kind,
            created,
            _encode(model),
        )
        self._end = b'],"usage":null}\n\n' if with_usage else b"]}\n\n"
        self.with_usage = with_usage

    @abstractmethod
    def role(self, index: int, calls: bool = False) -> bytes:
        """Return the chunk that opens an answer, if this kind of stream has one.

        Args:
            index: Which answer.
            calls: Whether it begins with the call of a function, not with a text.
        """

    @abstractmethod
    def text(self, text: str, index: int) -> bytes:
        """Return a chunk with a piece of the answer."""

    @abstractmethod
    def weighed(self, text: str, index: int, logprobs: Sequence[TokenLogprob]) -> bytes:
        """Return a chunk with a piece of the answer and how probable its tokens were."""

    @abstractmethod
    def around(self, thinks: bool) -> tuple[bytes, bytes]:
        """Return what stands before and after the text in a chunk of the first answer, its quotes included.

        Args:
            thinks: Whether the text is a thought.
        """

    @abstractmethod
    def parts(self, fields: Mapping[str, Any], index: int, logprobs: Any) -> bytes:
        """Return a chunk whose delta holds ``fields``."""

    @abstractmethod
    def finish(self, reason: str, index: int) -> bytes:
        """Return the chunk that ends the answer with this index."""

    def reasoning(self, text: str, index: int) -> bytes | None:
        """Return a chunk with a piece of what the model thinks; ``None`` where nobody may think aloud."""
        return None

    def call(self, call: ToolCall, called: str) -> bytes | None:
        """Return a chunk with a piece of a call; ``None`` where nothing can be called.

        Args:
            call: The piece.
            called: The call's id with its first piece.
        """
        return None

    def call_id(self, call: ToolCall) -> str:
        """Return an id for a call that has none."""
        return call_id(self._id, call.index, call.number)

    def usage(self, usage: Usage) -> bytes:
        """Return the chunk without choices that ends a stream whose client asked for usage."""
        return self._prefix + b'],"usage":' + usage_json(usage) + b"}\n\n"


def usage_json(usage: Usage) -> bytes:
    """Return OpenAI's usage object; details only where there is something to tell."""
    prompt, answer = usage.prompt_tokens, usage.completion_tokens
    told = b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d' % (
        prompt,
        answer,
        prompt + answer,
    )
    if usage.cached_tokens:
        told += b',"prompt_tokens_details":{"cached_tokens":%d}' % usage.cached_tokens
    if usage.reasoning_tokens:
        told += b',"completion_tokens_details":{"reasoning_tokens":%d}' % usage.reasoning_tokens
    return told + b"}"


def error_event(body: Mapping[str, Any]) -> bytes:
    """Return the event that ends a stream which has failed; ``[DONE]`` follows it."""
    return b"data: " + _encode(body) + b"\n\n"
