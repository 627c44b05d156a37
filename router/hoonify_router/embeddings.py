"""Vectors in one piece: OpenAI's list of embeddings."""

from __future__ import annotations

import binascii
import math
import struct
from collections.abc import Callable

import msgspec

from hoonify_router.answer import Answer
from hoonify_router.completion import Mailbox
from hoonify_router.errors import Unsupported
from hoonify_router.types import EmbeddingRequest

_encode = msgspec.json.Encoder().encode


class Embeddings(Answer):
    """Collects vectors until there is one for each input; its coming is an input's finish.

    Args:
        mailbox: Where they go then.
        request: What was asked for.
        on_end: Called once, when the answer has ended.

    Attributes:
        base64: Whether the client wants base64 of little-endian float32, not numbers.
    """

    __slots__ = ("_dimensions", "_mailbox", "_model", "_size", "_vectors", "base64")

    def __init__(
        self, mailbox: Mailbox, request: EmbeddingRequest, on_end: Callable[[], object]
    ) -> None:
        super().__init__(request.choices, frozenset(), on_end)
        self._mailbox = mailbox
        self._model = request.model
        self._dimensions = request.dimensions
        self._size = 0  # how many numbers the first vector had; all must have as many
        self._vectors: list[bytes] = [b""] * request.choices
        self.base64 = request.encoding_format == "base64"

    def embedding(self, vector: bytes, index: int = 0) -> None:
        """Keep the whole vector of one input, little-endian float32."""
        count, rest = divmod(len(vector), 4)
        numbers = () if rest else struct.unpack(f"<{count}f", vector)
        if not numbers or not math.isfinite(sum(numbers)):  # one that is not would make it so
            self._misfit()
        elif self.base64:
            self.written(b'"%b"' % binascii.b2a_base64(vector, newline=False), count, index)
        else:
            self.written(_encode(numbers), count, index)

    def written(self, vector: bytes, count: int, index: int = 0) -> None:
        """Keep a vector that is JSON already, in the form that the client asked for.

        Args:
            vector: Its JSON; the adapter vouches for it.
            count: How many numbers it has.
            index: Of which input it is.
        """
        if not self._may_speak(index):
            return
        if self._dimensions is not None and count != self._dimensions:
            told = f"the model '{self._model}' gives {count} dimensions here"
            message = f"Unsupported parameter: 'dimensions': {told}."
            self.fail(Unsupported(message, param="dimensions"))
            return
        self._size = self._size or count
        if count != self._size:
            self._misfit()
            return
        self._open &= ~(1 << index)
        self._mark_first()
        self._vectors[index] = vector

    def close(self) -> None:
        """Send the whole list."""
        self._mailbox.send(200, self.body())

    def body(self) -> bytes:
        """Return the list as JSON, once the answer has ended without an error."""
        data = [
            b'{"object":"embedding","index":%d,"embedding":%b}' % (index, vector)
            for index, vector in enumerate(self._vectors)
        ]
        tokens = 0 if self.usage is None else self.usage.prompt_tokens
        return (
            b'{"object":"list","data":[%b],"model":%b,"usage":{"prompt_tokens":%d,"total_tokens":%d}}'
        ) % (b",".join(data), _encode(self._model), tokens, tokens)
