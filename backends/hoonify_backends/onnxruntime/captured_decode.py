"""Steps of the answers as CUDA graphs: recorded once for each number of rows, then replayed.

A recorded graph knows addresses and shapes by heart. So everything that it reads or writes stays in its place on
the device, the mask is as long as a row, and there is a graph for 1, 2, 4 … rows: what is between takes the next
larger one. Rows that nobody asked for write to their row's last place, whose content no other request ever reads:
it is needed by an answer that ends there, and by nobody after it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hoonify_backends.generation.sampling import Floats
from hoonify_backends.onnxruntime.graph import Graph
from hoonify_backends.onnxruntime.kv_cache import KVCache

NOT_RECORDED = -1
"""The number that a run has which is not recorded."""


def run_settings(graph_id: int) -> Any:
    """Return the settings of a run that is recorded under a number, or replayed."""
    from onnxruntime import RunOptions

    settings = RunOptions()
    settings.add_run_config_entry("gpu_graph_id", str(graph_id))
    return settings


def sizes_of(slots: int) -> list[int]:
    """Return the numbers of rows for which there is a graph."""
    sizes = [1]
    while sizes[-1] * 2 < slots:
        sizes.append(sizes[-1] * 2)
    return sizes if sizes[-1] == slots else [*sizes, slots]


class CapturedDecode:
    """Reads one token into each of the first rows.

    Args:
        graph: The session and its names.
        cache: Keys and values.
        slots: Rows.
        length: Tokens in a row.
        vocabulary: Columns of the scores.
        device: ONNX Runtime's name of the kind of device, and which one.
    """

    def __init__(
        self,
        graph: Graph,
        cache: KVCache,
        *,
        slots: int,
        length: int,
        vocabulary: int,
        device: tuple[str, int],
    ) -> None:
        self._graph = graph
        self._cache = cache
        self._length = length
        self._vocabulary = vocabulary
        self._device = device
        self._sizes = sizes_of(slots)
        self._calls: dict[int, _Call] = {}
        self._columns = np.arange(length)

    def decode(self, tokens: Sequence[int], places: Sequence[int]) -> Floats:
        """Read one token into each of the first rows, at that row's place; return scores ``[rows, V]``."""
        rows = len(tokens)
        size = self._sizes[bisect_left(self._sizes, rows)]
        call = self._calls.get(size)
        if call is None:
            call = self._calls[size] = _Call(
                self._graph,
                self._cache,
                size,
                length=self._length,
                vocabulary=self._vocabulary,
                device=self._device,
            )
        ids = np.zeros((size, 1), self._graph.token_dtype)
        at = np.full((size, 1), self._length - 1, self._graph.token_dtype)
        ids[:rows, 0] = tokens
        at[:rows, 0] = places
        scores = call.run(ids, at, (self._columns <= at).astype(self._graph.token_dtype))
        return scores[:rows, 0].astype(np.float32, copy=False)


class _Call:
    """What one recorded graph reads and writes, in its place for good."""

    def __init__(
        self,
        graph: Graph,
        cache: KVCache,
        rows: int,
        *,
        length: int,
        vocabulary: int,
        device: tuple[str, int],
    ) -> None:
        from onnxruntime import OrtValue

        def on_device(shape: tuple[int, ...], dtype: Any) -> Any:
            return OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype), *device)

        self._session = graph.session
        self._settings = run_settings(rows)
        self._tokens = on_device((rows, 1), graph.token_dtype)
        self._mask = on_device((rows, length), graph.token_dtype)
        self._positions = on_device((rows, 1), graph.token_dtype)
        self._scores = on_device((rows, 1, vocabulary), graph.logits_dtype)
        self._binding = graph.session.io_binding()
        cache.bind(self._binding, 0, rows)
        self._binding.bind_ortvalue_input(graph.tokens_name, self._tokens)
        self._binding.bind_ortvalue_input(graph.mask_name, self._mask)
        if graph.has_positions:
            self._binding.bind_ortvalue_input(graph.positions_name, self._positions)
        self._binding.bind_ortvalue_output(graph.logits_name, self._scores)

    def run(self, tokens: NDArray[Any], at: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        self._tokens.update_inplace(tokens)
        self._positions.update_inplace(at)
        self._mask.update_inplace(mask)
        self._session.run_with_iobinding(self._binding, self._settings)
        scores: NDArray[Any] = self._scores.numpy()
        return scores
