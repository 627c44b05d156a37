"""From a request for embeddings to what the batcher needs: tokens and sizes; or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hoonify_backends.onnxruntime.embedding.batcher import Job
from hoonify_backends.onnxruntime.embedding.model import Tokens
from hoonify_router.errors import ContextLengthExceeded, InvalidValue, Unsupported
from hoonify_router.types import EmbeddingRequest


class InputReader:
    """Reads requests for one model.

    Text gets the prefix and the special tokens that the model was trained with. Tokens are taken exactly
    as they are given: who sends them has done all that.

    Args:
        tokenizer: The model's ``tokenizers.Tokenizer``; it must neither cut nor pad.
        prefix: Text before each input that is text.
        max_length: Tokens of one input.
        vocabulary: How many tokens the model knows; ``None`` counts the tokenizer's.
        dimensions: Of the model's vectors.
        sizes: What they may be cut to; ``None`` allows no cut, an empty one every size.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        prefix: str,
        max_length: int,
        vocabulary: int | None,
        dimensions: int,
        sizes: Sequence[int] | None,
    ) -> None:
        self._tokenizer = tokenizer
        self._prefix = prefix
        self._max_length = max_length
        largest = max(tokenizer.get_vocab().values(), default=0)
        self._vocabulary = vocabulary or largest + 1
        self._strays = largest >= self._vocabulary  # tokens that only the tokenizer knows
        self._dimensions = dimensions
        self._sizes = sizes

    def read(self, request: EmbeddingRequest) -> Job:
        """Return the request as a job for the batcher; takes long where texts are long.

        Raises:
            ContextLengthExceeded: An input has more tokens than the model reads.
            InvalidRequest: Something else of it cannot be served.
        """
        size = self._size(request.dimensions)
        inputs = request.inputs
        alone = len(inputs) == 1 and inputs[0] == request.input  # it stands there without a list
        names = ["input"] if alone else [f"input[{place}]" for place in range(len(inputs))]
        if not inputs:
            raise InvalidValue("There is nothing to embed: the list is empty.", param="input")
        for given, name in zip(inputs, names, strict=True):
            if not given:
                raise InvalidValue(f"{name} is empty.", param=name)
            if not isinstance(given, str):
                self._check_tokens(given, name)
        texts = [self._prefix + given for given in inputs if isinstance(given, str)]
        encoded = iter(self._tokenizer.encode_batch_fast(texts) if texts else ())
        rows: list[Tokens] = []
        for given, name in zip(inputs, names, strict=True):
            ids = next(encoded).ids if isinstance(given, str) else given
            if self._strays and isinstance(given, str) and max(ids, default=0) >= self._vocabulary:
                raise InvalidValue(f"{name} has a token that the model does not know.", param=name)
            if not ids:
                raise InvalidValue(f"{name} has no text that the model can read.", param=name)
            if len(ids) > self._max_length:
                raise ContextLengthExceeded(
                    f"This model's maximum context length is {self._max_length} tokens, but {name} has"
                    f" {len(ids)} tokens. Please shorten it or split it.",
                    param=name,
                )
            rows.append(np.array(ids, np.int32))
        return Job(rows, size)

    def _size(self, wish: int | None) -> int | None:
        if wish is None or (wish == self._dimensions and self._sizes is not None):
            return None
        if self._sizes is None:
            raise Unsupported(
                "Unsupported parameter: 'dimensions': this model's embeddings always have"
                f" {self._dimensions} dimensions.",
                param="dimensions",
            )
        if wish < 1 or wish > self._dimensions or (self._sizes and wish not in self._sizes):
            known = " or ".join(map(str, sorted({*self._sizes, self._dimensions})))
            allowed = known if self._sizes else f"between 1 and {self._dimensions}"
            raise InvalidValue(f"dimensions must be {allowed}.", param="dimensions")
        return wish

    def _check_tokens(self, tokens: Sequence[int], name: str) -> None:
        if min(tokens) >= 0 and max(tokens) < self._vocabulary:
            return
        place = next(i for i, token in enumerate(tokens) if not 0 <= token < self._vocabulary)
        raise InvalidValue(
            f"{name}[{place}] is {tokens[place]}, but this model's tokens are 0 to"
            f" {self._vocabulary - 1}.",
            param=f"{name}[{place}]",
        )
