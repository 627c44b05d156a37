"""The bytes of a stream's events; whatever is the same in every chunk of a stream is encoded once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from hoonify_router.types import Usage

DONE = b"data: [DONE]\n\n"
PING = b": waiting\n\n"

_encode = msgspec.json.Encoder().encode
_SPOKEN = b'},"logprobs":null,"finish_reason":null}'


class Chunks:
    """Makes the chunks of one stream: one id, one time, one model.

    Args:
        completion_id: The answer's id; ASCII without quotes or backslashes.
        created: Unix time of the answer.
        model: Catalog ID that the client asked for.
        with_usage: Whether the client asked for usage; then every other chunk says ``"usage":null``.
    """

    __slots__ = ("_content", "_end", "_prefix", "_spoken", "with_usage")

    def __init__(self, completion_id: str, created: int, model: str, with_usage: bool) -> None:
        self._prefix = b"".join(
            (
                b'data: {"id":"',
                completion_id.encode("ascii"),
                b'","object":"chat.completion.chunk","created":%d,"model":' % created,
                _encode(model),
                b',"choices":[',
            )
        )
        self._end = b'],"usage":null}\n\n' if with_usage else b"]}\n\n"
        self._spoken = _SPOKEN + self._end
        self._content = self._prefix + b'{"index":0,"delta":{"content":'
        self.with_usage = with_usage

    def role(self, index: int) -> bytes:
        """Return the chunk that opens an answer: who speaks."""
        return self._delta(index, b'"role":"assistant","content":"","refusal":null')

    def text(self, text: str, index: int) -> bytes:
        """Return a chunk with a piece of the answer."""
        if index == 0:
            return self._content + _encode(text) + self._spoken
        return self._delta(index, b'"content":' + _encode(text))

    def escaped(self, texts: Iterable[bytes], thinks: bool) -> bytes:
        """Return a chunk for each text; they are the insides of JSON strings."""
        before, after = self._content + b'"', b'"' + self._spoken
        if thinks:
            before = self._prefix + b'{"index":0,"delta":{"reasoning_content":"'
        return b"".join([before + text + after for text in texts])

    def reasoning(self, text: str, index: int) -> bytes:
        """Return a chunk with a piece of what the model thinks."""
        return self._delta(index, b'"reasoning_content":' + _encode(text))

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

    def usage(self, usage: Usage) -> bytes:
        """Return the chunk without choices that ends a stream whose client asked for usage."""
        return self._prefix + b'],"usage":' + usage_json(usage) + b"}\n\n"

    def _delta(self, index: int, inner: bytes) -> bytes:
        return b'%b{"index":%d,"delta":{%b%b' % (self._prefix, index, inner, self._spoken)


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
