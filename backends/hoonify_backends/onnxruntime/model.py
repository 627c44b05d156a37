"""The model: one ONNX Runtime session, its KV cache, and the calls on rows of it.

Not thread-safe: the engine's one thread calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hoonify_backends.generation.sampling import Floats
from hoonify_backends.onnxruntime.captured_decode import (
    NOT_RECORDED,
    CapturedDecode,
    run_settings,
)
from hoonify_backends.onnxruntime.graph import Graph
from hoonify_backends.onnxruntime.kv_cache import KVCache, KVLayout

_FEW_ROWS = (
    3  # a step of these is done sooner by one thread than by several that wait for each other
)


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
        lone: The same graph in a session of one thread, for steps of few rows; default: ``graph``.
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
        lone: Graph | None = None,
    ) -> None:
        self.slots = slots
        self.context_length = layout.row_shape[1]
        self.can_swap = cache.can_swap
        self.can_copy = cache.can_copy
        self.vocabulary = vocabulary
        self._graph = graph
        self._lone = lone or graph
        self._cache = cache
        self._on_gpu = on_gpu
        self._places = np.arange(self.context_length)
        self._masks = np.empty(slots * self.context_length, graph.token_dtype)
        self._scores = np.empty(
            (1, 1 if graph.last_only else chunk, vocabulary), graph.logits_dtype
        )
        self._captured: CapturedDecode | None = None
        self._eagerly: Any = None  # settings of runs that are not recorded, where others are
        self._prefills: dict[int, Any] = {}  # bindings by row
        self._decodes: dict[int, _Decode] = {}  # by number of rows

    def capture(self, device: tuple[str, int]) -> None:
        """Record and replay the steps of answers from now on, and nothing else.

        Args:
            device: ONNX Runtime's name of the kind of device, and which one.
        """
        self._captured = CapturedDecode(
            self._graph,
            self._cache,
            slots=self.slots,
            length=self.context_length,
            vocabulary=self.vocabulary,
            device=device,
        )
        self._eagerly = run_settings(NOT_RECORDED)

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
        graph.session.run_with_iobinding(binding, self._eagerly)
        return _as_floats(scores[:, -1])

    def decode(self, tokens: Sequence[int], places: Sequence[int]) -> Floats:
        """Read one token into each of the first rows, at that row's place; return scores ``[rows, V]``.

        The scores are overwritten by the next call.
        """
        if self._captured is not None:
            return self._captured.decode(tokens, places)
        rows, end = len(tokens), max(places) + 1
        graph = self._lone if rows <= _FEW_ROWS else self._graph
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
