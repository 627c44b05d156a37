"""What the model alone takes for a step: by rows and threads, and operator by operator."""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines.ways import STREAMS, Setting
from hoonify_backends.onnxruntime.graph import Graph
from hoonify_backends.onnxruntime.kv_cache import HostCache, KVLayout
from hoonify_backends.onnxruntime.model import OnnxModel
from hoonify_backends.onnxruntime.model_folder import read_model_folder
from hoonify_backends.onnxruntime.sessions import session_settings

_PLACE = 75  # tokens that each row has: the middle of an answer
_STEPS = 12


class Bare:
    """The model on a session of its own.

    Args:
        setting: Which model.
        threads: Of the session; ``None`` is all cores.
        profile: Where ONNX Runtime notes what each operator takes.
    """

    def __init__(self, setting: Setting, threads: int | None, profile: Path | None = None) -> None:
        import onnxruntime

        folder = read_model_folder(setting.model)
        settings = session_settings(threads, spinning=False)
        if profile is not None:
            settings.enable_profiling = True
            settings.profile_file_prefix = str(profile)
        self.session = onnxruntime.InferenceSession(
            folder.graph, settings, providers=["CPUExecutionProvider"]
        )
        decoder = folder.config.model.decoder
        graph = Graph(self.session, decoder)
        layout = KVLayout(
            graph.kv_names,
            heads=decoder.num_key_value_heads,
            length=folder.config.model.context_length,
            head_size=decoder.head_size,
            dtype=graph.kv_dtype,
        )
        slots = max(STREAMS)
        cache = HostCache(layout, slots)
        vocabulary = graph.vocabulary or folder.config.model.vocab_size
        self._model = OnnxModel(graph, layout, cache, slots=slots, chunk=256, vocabulary=vocabulary)
        prompt = np.random.default_rng(0).integers(3, vocabulary, _PLACE).tolist()
        for row in range(slots):
            self._model.prefill(row, prompt, 0)

    def step(self, rows: int) -> float:
        """Return the microseconds that a step of ``rows`` answers takes."""
        began = time.perf_counter()
        self._model.decode([5] * rows, [_PLACE] * rows)
        return (time.perf_counter() - began) * 1e6


def measure_steps(setting: Setting, rounds: int) -> dict[str, dict[int, float]]:
    """Return the median microseconds of a step, by threads and rows."""
    models = {"1 thread": Bare(setting, 1), "all cores": Bare(setting, None)}
    seen: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in range(2 * rounds):
        for rows in STREAMS:
            for name, model in models.items():
                model.step(rows)  # what another model has pushed out of the caches comes back
                seen[name, rows] += [model.step(rows) for _ in range(_STEPS)]
    return {
        name: {rows: round(statistics.median(seen[name, rows]), 1) for rows in STREAMS}
        for name in models
    }


def measure_operators(setting: Setting, folder: Path) -> dict[str, dict[int, float]]:
    """Return the microseconds of a step that each kind of operator takes in one thread, by number of rows."""
    table: dict[str, dict[int, float]] = {}
    for rows in (1, 8):
        model = Bare(setting, 1, folder / f"operators-{rows}")
        for _ in range(10 * _STEPS):
            model.step(rows)
        noted = json.loads(Path(model.session.end_profiling()).read_text())
        for kind, micros in _by_kind(noted, 10 * _STEPS).items():
            table.setdefault(kind, {})[rows] = round(micros, 1)
    return dict(sorted(table.items(), key=lambda item: -item[1].get(8, 0)))


def _by_kind(noted: list[dict[str, Any]], steps: int) -> dict[str, float]:
    times: dict[str, list[float]] = defaultdict(list)
    for event in noted:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times[event["args"]["op_name"] + "\0" + event["name"]].append(event["dur"])
    kinds: dict[str, float] = defaultdict(float)
    for name, durations in times.items():  # the last are the steps, before them come the prompts
        kinds[name.partition("\0")[0]] += statistics.median(durations[-steps:])
    return kinds
