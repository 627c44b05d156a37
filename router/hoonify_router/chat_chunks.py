"""The chunks of a chat's stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from hoonify_router.answer import FINISH_REASONS, CustomCall
from hoonify_router.chunks import Chunks
from hoonify_router.logprobs import chat_logprobs
from hoonify_router.types import TokenLogprob, ToolCall

_encode = msgspec.json.Encoder().encode
_SPOKEN = b'},"logprobs":null,"finish_reason":null}'


class ChatChunks(Chunks):
    """Makes OpenAI's ``chat.completion.chunk``."""

    __slots__ = ("_content", "_spoken")

    kind: ClassVar[bytes] = b"chat.completion.chunk"
    finish_reasons: ClassVar[frozenset[str]] = FINISH_REASONS

    def __init__(self, answer_id: str, created: int, model: str, with_usage: bool) -> None:
        super().__init__(answer_id, created, model, with_usage)
        self._spoken = _SPOKEN + self._end
        self._content = self._prefix + b'{"index":0,"delta":{"content":'

    def role(self, index: int, calls: bool = False) -> bytes:
        """Return the chunk that opens an answer: who speaks."""
        content = b"null" if calls else b'""'
        return self._delta(index, b'"role":"assistant","content":%b,"refusal":null' % content)

    def text(self, text: str, index: int) -> bytes:
        """Return a chunk with a piece of the answer."""
        if index == 0:
            return self._content + _encode(text) + self._spoken
        return self._delta(index, b'"content":' + _encode(text))

    def weighed(self, text: str, index: int, logprobs: Sequence[TokenLogprob]) -> bytes:
        """Return a chunk with a piece of the answer and how probable its tokens were."""
        return (
            b'%b{"index":%d,"delta":{%b},"logprobs":{"content":%b,"refusal":null},'
            b'"finish_reason":null}%b'
        ) % (
            self._prefix,
            index,
            b'"content":' + _encode(text) if text else b"",
            chat_logprobs(logprobs),
            self._end,
        )

    def around(self, thinks: bool) -> tuple[bytes, bytes]:
        """Return what stands before and after the text in a chunk of the first answer, its quotes included."""
        before = self._content + b'"'
        if thinks:
            before = self._prefix + b'{"index":0,"delta":{"reasoning_content":"'
        return before, b'"' + self._spoken

    def reasoning(self, text: str, index: int) -> bytes:
        """Return a chunk with a piece of what the model thinks."""
        return self._delta(index, b'"reasoning_content":' + _encode(text))

    def call(self, call: ToolCall, called: str) -> bytes:
        """Return a chunk with a piece of a call; only its first one has id, type and name."""
        told = {"index": call.number, **call_object(call, called)}
        return self._delta(call.index, b'"tool_calls":[%b]' % _encode(told))

    def parts(self, fields: Mapping[str, Any], index: int, logprobs: Any) -> bytes:
        """Return a chunk whose delta holds ``fields``."""
        return b'%b{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":null}%b' % (
            self._prefix,
            index,
            _encode(fields),
            _encode(logprobs),
            self._end,
        )

    def finish(self, reason: str, index: int) -> bytes:
        """Return the chunk that ends the answer with this index."""
        return b'%b{"index":%d,"delta":{},"logprobs":null,"finish_reason":%b}%b' % (
            self._prefix,
            index,
            _encode(reason),
            self._end,
        )

    def _delta(self, index: int, inner: bytes) -> bytes:
        return b'%b{"index":%d,"delta":{%b%b' % (self._prefix, index, inner, self._spoken)


def call_object(call: ToolCall, called: str) -> dict[str, Any]:
    """Return a piece of a call as OpenAI has it; ``called`` is its id with its first piece, else empty."""
    kind, rest = ("custom", "input") if type(call) is CustomCall else ("function", "arguments")
    if called:
        return {"id": called, "type": kind, kind: {"name": call.name, rest: call.arguments}}
    return {kind: {rest: call.arguments}}
