"""The model: one ONNX Runtime session, its KV cache, and the calls on rows of it.

Not thread-safe: the engine's one thread calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hoonify_backends.generation.sampling import Floats
from hoonify_backends.onnxruntime.kv_cache import KVCache, KVLayout
from hoonify_backends.onnxruntime.model_folder import Decoder
from hoonify_router.errors import ModelUnavailable

_FLOATS: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}
_INTEGERS: dict[str, type[np.signedinteger[Any]]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


class Graph:
    """What the session's inputs and outputs are, checked against what the engine can drive.

    Args:
        session: An ``onnxruntime.InferenceSession``.
        decoder: What the model's configuration says of it.

    Raises:
        ModelUnavailable: The graph is of a kind that the engine does not know.
    """

    def __init__(self, session: Any, decoder: Decoder) -> None:
        names, outputs = decoder.inputs, decoder.outputs
        layers = range(decoder.num_hidden_layers)
        self.kv_names = [
            (past % layer, present % layer)
            for layer in layers
            for past, present in (
                (names.past_key_names, outputs.present_key_names),
                (names.past_value_names, outputs.present_value_names),
            )
        ]
        self.session = session
        self.tokens_name = names.input_ids
        self.mask_name = names.attention_mask
        self.positions_name = names.position_ids
        self.logits_name = outputs.logits
        found = {entry.name: entry for entry in session.get_inputs()}
        logits = next((o for o in session.get_outputs() if o.name == outputs.logits), None)
        needed = {names.input_ids, names.attention_mask, *(past for past, _ in self.kv_names)}
        missing, unknown = needed - found.keys(), found.keys() - needed - {names.position_ids}
        if missing or unknown or logits is None:
            raise ModelUnavailable(
                "the ONNX file is not a decoder that this engine knows: it has inputs"
                f" {sorted(found)}, expected are {sorted(needed)} and an output {outputs.logits}"
            )
        self.has_positions = names.position_ids in found
        past = found[self.kv_names[0][0]]
        self.kv_dtype = _dtype(past, _FLOATS)
        if past.shape[1] != decoder.num_key_value_heads and isinstance(past.shape[1], int):
            raise ModelUnavailable(
                f"the ONNX file has {past.shape[1]} heads of keys and values, genai_config.json says"
                f" {decoder.num_key_value_heads}"
            )
        self.token_dtype = _dtype(found[names.input_ids], _INTEGERS)
        self.logits_dtype = _dtype(logits, _FLOATS)
        self.last_only = logits.shape[1] == 1  # exported to score only the last place
        self.vocabulary = logits.shape[2] if isinstance(logits.shape[2], int) else None


def _dtype(entry: Any, known: dict[str, Any]) -> Any:
    if entry.type not in known:
        raise ModelUnavailable(
            f"{entry.name} of the ONNX file is a {entry.type}; this engine takes {', '.join(known)}"
        )
    return known[entry.type]


class OnnxModel:
    """A decoder that reads tokens into rows and returns scores.

    Args:
        graph: The session and its names.
        layout: Shape of the KV cache.
        cache: Its memory.
        slots: Rows of the cache.
        chunk: Tokens that one ``prefill`` reads at most.
        vocabulary: Columns of the scores.
        on_gpu: Whether the session copies inputs when they are bound, so that each call must bind anew.
    """

    def __init__(
        self,
        graph: Graph,
        layout: KVLayout,
        cache: KVCache,
        *,
        slots: int,
        chunk: int,
        vocabulary: int,
        on_gpu: bool = False,
    ) -> None:
        self.slots = slots
        self.context_length = layout.row_shape[1]
        self.can_swap = cache.can_swap
        self.can_copy = cache.can_copy
        self.vocabulary = vocabulary
        self._graph = graph
        self._cache = cache
        self._on_gpu = on_gpu
        self._places = np.arange(self.context_length)
        self._masks = np.empty(slots * self.context_length, graph.token_dtype)
        self._scores = np.empty(
            (1, 1 if graph.last_only else chunk, vocabulary), graph.logits_dtype
        )
        self._prefills: dict[int, Any] = {}  # bindings by row
        self._decodes: dict[int, _Decode] = {}  # by number of rows

    def prefill(self, row: int, tokens: Sequence[int], start: int) -> Floats:
        """Read ``tokens`` into a row from place ``start`` on; return the scores after the last, ``[1, V]``.

        ``GroupQueryAttention`` takes several new tokens after earlier ones for one row only.
        """
        graph, count, end = self._graph, len(tokens), start + len(tokens)
        binding = self._prefills.get(row)
        if binding is None:
            binding = self._prefills[row] = graph.session.io_binding()
            self._cache.bind(binding, row, 1)
        mask = self._masks[:end].reshape(1, end)
        mask.fill(1)
        binding.bind_cpu_input(graph.tokens_name, np.array([tokens], graph.token_dtype))
        binding.bind_cpu_input(graph.mask_name, mask)
        if graph.has_positions:
            positions = np.arange(start, end, dtype=graph.token_dtype).reshape(1, count)
            binding.bind_cpu_input(graph.positions_name, positions)
        scores = self._scores if graph.last_only else self._scores[:, :count]
        _bind_scores(binding, graph, scores)
        graph.session.run_with_iobinding(binding)
        return _as_floats(scores[:, -1])

    def decode(self, tokens: Sequence[int], places: Sequence[int]) -> Floats:
        """Read one token into each of the first rows, at that row's place; return scores ``[rows, V]``.

        The scores are overwritten by the next call.
        """
        graph, rows, end = self._graph, len(tokens), max(places) + 1
        call = self._decodes.get(rows)
        if call is None:
            call = self._decodes[rows] = _Decode(graph, self._cache, rows, self.vocabulary)
            call.bind_inputs(graph)
        at = np.array(places)[:, None]
        call.tokens[:, 0] = tokens
        call.positions[:] = at
        mask = self._masks[: rows * end].reshape(rows, end)
        mask[:] = self._places[:end] <= at
        if self._on_gpu:
            call.bind_inputs(graph)
        call.binding.bind_cpu_input(graph.mask_name, mask)
        graph.session.run_with_iobinding(call.binding)
        return _as_floats(call.scores[:, 0])

    def swap(self, first: int, second: int, length: int) -> None:
        """Exchange the first ``length`` places of two rows."""
        self._cache.swap(first, second, length)

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` places of a row to another."""
        self._cache.copy(source, target, length)


class _Decode:
    """The binding for one number of rows, kept: on the CPU only the mask's shape changes between steps."""

    def __init__(self, graph: Graph, cache: KVCache, rows: int, vocabulary: int) -> None:
        self.tokens: NDArray[Any] = np.zeros((rows, 1), graph.token_dtype)
        self.positions: NDArray[Any] = np.zeros((rows, 1), graph.token_dtype)
        self.scores: NDArray[Any] = np.empty((rows, 1, vocabulary), graph.logits_dtype)
        self.binding = graph.session.io_binding()
        cache.bind(self.binding, 0, rows)
        _bind_scores(self.binding, graph, self.scores)

    def bind_inputs(self, graph: Graph) -> None:
        self.binding.bind_cpu_input(graph.tokens_name, self.tokens)
        if graph.has_positions:
            self.binding.bind_cpu_input(graph.positions_name, self.positions)


def _bind_scores(binding: Any, graph: Graph, scores: NDArray[Any]) -> None:
    address = scores.ctypes.data
    binding.bind_output(graph.logits_name, "cpu", 0, graph.logits_dtype, scores.shape, address)


def _as_floats(scores: NDArray[Any]) -> Floats:
    return scores.astype(np.float32, copy=False)
