"""The model: one ONNX Runtime session that turns rows of tokens into one vector each.

Not thread-safe: the engine's one thread calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hoonify_backends.onnxruntime.embedding.options import Pooling
from hoonify_router.errors import ModelUnavailable

Floats = NDArray[np.float32]
Tokens = NDArray[np.int32]

_TOKENS, _MASK, _TYPES = "input_ids", "attention_mask", "token_type_ids"
_INTEGERS: dict[str, type[np.signedinteger[Any]]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}
_FLOATS = frozenset({"tensor(float)", "tensor(float16)"})
_OF_TOKENS = ("token_embeddings", "last_hidden_state")
_OF_SENTENCES = ("sentence_embedding", "sentence_embeddings", "pooler_output")


class Graph:
    """What the session's inputs and outputs are, checked against what the engine can drive.

    An export that holds the whole model has an output for sentences, and that is taken; from others the
    vectors of the tokens are taken, and one is made of them here. ``pooler_output`` is the last choice: most
    models that have it were not trained to use it.

    Args:
        session: An ``onnxruntime.InferenceSession``.
        new_options: Makes options of one call: ``onnxruntime.RunOptions``.
        whole: Whether an output for sentences may be taken where there is one for tokens too.
        beyond: What the model's files ask for and this engine does not do to the tokens' vectors.

    Raises:
        ModelUnavailable: The graph is of a kind that the engine does not know.
    """

    def __init__(
        self,
        session: Any,
        new_options: Callable[[], Any],
        *,
        whole: bool = True,
        beyond: str = "",
    ) -> None:
        found = {entry.name: entry for entry in session.get_inputs()}
        needed = {_TOKENS, _MASK}
        if needed - found.keys() or found.keys() - needed - {_TYPES}:
            raise ModelUnavailable(
                "the ONNX file is not an encoder that this engine knows: it has inputs"
                f" {sorted(found)}, expected are {_TOKENS}, {_MASK} and perhaps {_TYPES}; export it"
                " for the task feature-extraction"
            )
        self.session = session
        self.new_options = new_options
        self.dtypes = {name: _integer(entry) for name, entry in found.items()}
        outputs = {entry.name: entry for entry in session.get_outputs()}
        by_rank = {
            rank: [name for name, entry in outputs.items() if len(entry.shape) == rank]
            for rank in (2, 3)
        }
        tokens = _pick(_OF_TOKENS, by_rank[3])
        sentences = _pick(_OF_SENTENCES, by_rank[2])
        self.pools = not sentences or bool(
            tokens and (not whole or sentences not in _OF_SENTENCES[:2])
        )
        self.output = tokens if self.pools else sentences
        if not self.output:
            raise ModelUnavailable(
                f"the ONNX file has no output that holds embeddings: it has {sorted(outputs)}, known are"
                f" {', '.join((*_OF_TOKENS, *_OF_SENTENCES))}"
            )
        if outputs[self.output].type not in _FLOATS:
            raise ModelUnavailable(
                f"{self.output} of the ONNX file is a {outputs[self.output].type}; this engine takes"
                f" {' and '.join(sorted(_FLOATS))}"
            )
        if self.pools and beyond:
            raise ModelUnavailable(
                f"this engine does not do {beyond}: export the whole model, so that the ONNX file has an"
                " output sentence_embedding, or set pooling: if it is only that"
            )


def _pick(known: Sequence[str], names: Sequence[str]) -> str:
    """Return the best known name, or the only one, or nothing."""
    return next((name for name in known if name in names), names[0] if len(names) == 1 else "")


def _integer(entry: Any) -> Any:
    if entry.type not in _INTEGERS:
        raise ModelUnavailable(
            f"{entry.name} of the ONNX file is a {entry.type}; this engine takes {', '.join(_INTEGERS)}"
        )
    return _INTEGERS[entry.type]


class Halt:
    """Lets another thread end one call of the model early; the call then raises."""

    __slots__ = ("_options", "requested")

    def __init__(self) -> None:
        self.requested = False
        self._options: Any = None

    def request(self) -> None:
        """End the call, or let it not begin; one that has ended is fine too."""
        self.requested = True
        if self._options is not None:
            self._options.terminate = True

    def watch(self, options: Any) -> Any:
        """Take and return the options of the call that begins."""
        self._options = options
        if self.requested:
            options.terminate = True
        return options


class EmbeddingModel:
    """An encoder that reads rows of tokens and returns a vector for each.

    Args:
        graph: The session and its names.
        pooling: How one vector is made of those of the tokens, where the graph does not.
        normalize: Whether vectors get length 1.
        pad: The token that fills rows up; no other token sees it.
    """

    def __init__(self, graph: Graph, *, pooling: Pooling, normalize: bool, pad: int = 0) -> None:
        self.normalize = normalize
        self._graph = graph
        self._pooling = pooling
        self._pad = pad

    def embed(self, rows: Sequence[Tokens], halt: Halt | None = None) -> Floats:
        """Return one vector for each row, ``[rows, dimensions]``; blocks."""
        graph, longest = self._graph, max(map(len, rows))
        shape = (len(rows), longest)
        tokens = np.full(shape, self._pad, graph.dtypes[_TOKENS])
        mask = np.zeros(shape, graph.dtypes[_MASK])
        for place, row in enumerate(rows):
            tokens[place, : len(row)] = row
            mask[place, : len(row)] = 1
        feeds = {_TOKENS: tokens, _MASK: mask}
        if _TYPES in graph.dtypes:
            feeds[_TYPES] = np.zeros(shape, graph.dtypes[_TYPES])
        options = None if halt is None else halt.watch(graph.new_options())
        [found] = graph.session.run([graph.output], feeds, options)
        found = found.astype(np.float32, copy=False)
        vectors = pool(found, mask, self._pooling) if graph.pools else found
        return scale(vectors) if self.normalize else vectors


def pool(vectors: Floats, mask: NDArray[Any], pooling: Pooling) -> Floats:
    """Make one vector of each row's tokens' vectors.

    Args:
        vectors: Of all tokens, ``[rows, tokens, dimensions]``.
        mask: 1 where there is a token, ``[rows, tokens]``; every row begins with one.
        pooling: How.
    """
    if pooling == "cls":
        return np.ascontiguousarray(vectors[:, 0])
    counts = mask.sum(1)
    if pooling == "last":
        last: Floats = vectors[np.arange(len(vectors)), counts - 1]
        return last
    weights = (mask / counts[:, None]).astype(np.float32)
    mean: Floats = np.matmul(weights[:, None], vectors)[:, 0]
    return mean


def scale(vectors: Floats) -> Floats:
    """Return the vectors with length 1; one that is zero stays so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Floats = vectors / np.maximum(lengths, np.float32(1e-12))
    return scaled
