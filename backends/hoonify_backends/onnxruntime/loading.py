"""From options to a model that is ready to run, and a proof that its rows do not disturb each other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hoonify_backends.generation.folder import FolderProblem
from hoonify_backends.onnxruntime.availability import clashing_libraries
from hoonify_backends.onnxruntime.graph import Graph
from hoonify_backends.onnxruntime.kv_cache import DeviceCache, HostCache, KVCache, KVLayout
from hoonify_backends.onnxruntime.model import OnnxModel
from hoonify_backends.onnxruntime.model_folder import ModelFolder, read_model_folder
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_backends.onnxruntime.providers import cuda_settings, device_name
from hoonify_backends.onnxruntime.sessions import open_session, thread_count
from hoonify_router.errors import ModelUnavailable

_SMALL = 16 * 1024**2  # bytes of weights that may be in memory twice
_TOLERANCE = 0.25  # of the scores' spread; rounding stays far below it, a wrong row far above


@dataclass(frozen=True)
class LoadedModel:
    """A model and what an operator wants to know of it.

    Args:
        model: Ready to run.
        folder: Where it came from.
        device: Where it runs, such as ``cpu``.
        memory_bytes: Weights and KV cache.
        details: More facts.
    """

    model: OnnxModel
    folder: ModelFolder
    device: str
    memory_bytes: int
    details: dict[str, str]


def load_model(
    options: OnnxOptions, log: logging.Logger, stage: Callable[[str], None]
) -> LoadedModel:
    """Load the model that the options name; blocks.

    Args:
        options: The home's options; relative paths count from the working directory.
        log: Where warnings go.
        stage: Told what is done now.

    Raises:
        ModelUnavailable: It cannot be loaded.
    """
    clash = clashing_libraries()
    if clash is not None:
        raise ModelUnavailable(clash.detail)
    stage("reading the model's folder")
    try:
        folder = read_model_folder(Path(options.model).resolve())
    except FolderProblem as problem:
        raise ModelUnavailable(problem.detail) from problem
    facts = folder.config.model
    context_length = options.max_length or facts.context_length
    if context_length > facts.context_length:
        raise ModelUnavailable(
            f"max_length: {context_length} is over the model's {facts.context_length}"
        )
    if options.cuda_graphs and options.provider == "tensorrt":
        raise ModelUnavailable("cuda_graphs: true goes with provider: cuda, not with tensorrt")
    stage("loading weights")
    session, provider = open_session(
        folder.graph,
        log,
        provider=options.provider,
        device_id=options.device_id,
        threads=options.threads,
        spinning=options.spinning,
        cuda=cuda_settings(options.gpu_memory_gib, options.cuda_graphs),
        provider_options=options.provider_options,
    )
    graph = Graph(session, facts.decoder)
    on_gpu = provider != "CPUExecutionProvider"
    weights = sum(file.stat().st_size for file in folder.path.glob(f"{folder.graph.name}*"))
    lone = graph
    if not on_gpu and weights <= _SMALL and thread_count(options.threads) > 1:
        session, _ = open_session(folder.graph, log, provider="cpu", threads=1)
        lone = Graph(session, facts.decoder)
    layout = KVLayout(
        graph.kv_names,
        heads=facts.decoder.num_key_value_heads,
        length=context_length,
        head_size=facts.decoder.head_size,
        dtype=graph.kv_dtype,
    )
    slots = layout.slots(options.slots, options.kv_memory_gib)
    stage("making room for keys and values")
    cache: KVCache
    if on_gpu:
        cache = DeviceCache(layout, slots, ("cuda", options.device_id))
    else:
        cache = HostCache(layout, slots)
    model = OnnxModel(
        graph,
        layout,
        cache,
        slots=slots,
        chunk=min(options.prefill_chunk, context_length),
        vocabulary=graph.vocabulary or facts.vocab_size,
        on_gpu=on_gpu,
        lone=lone,
    )
    captured = on_gpu and options.cuda_graphs
    if captured:
        model.capture(("cuda", options.device_id))
    stage("checking the model")
    check_rows(model)
    if not copies_rows(model):
        model.can_copy = False
        log.warning("rows cannot be copied here: each of n answers reads the prompt by itself")
    kv_bytes = slots * layout.row_bytes
    return LoadedModel(
        model,
        folder,
        device_name(provider, options.device_id),
        weights + kv_bytes,
        {
            "provider": provider,
            **({"cuda_graphs": "on"} if captured else {}),
            "kv_dtype": np.dtype(layout.dtype).name,
            "kv_memory": f"{kv_bytes / 1024**2:.1f} MiB",
            "model_type": facts.type or "unknown",
            "weights": f"{weights / 1024**2:.1f} MiB",
        },
    )


def check_rows(model: OnnxModel) -> None:
    """Prove that rows of different length in one call, and prompts in pieces, give what each gives alone.

    The engine depends on it, and it is a property of the model's operators on this device.

    Raises:
        ModelUnavailable: They do not.
    """
    tokens = [(7 * i + 3) % model.vocabulary for i in range(8)]
    whole = model.prefill(0, tokens[:6], 0).copy()
    alone = [model.prefill(0, tokens[:7], 0).copy()]
    model.prefill(0, tokens[:4], 0)
    pairs = [(model.prefill(0, tokens[4:6], 4).copy(), whole)]
    if model.slots > 1:
        alone.append(model.prefill(1, tokens[2:6], 0).copy())
        model.prefill(1, tokens[2:5], 0)
        both = model.decode([tokens[6], tokens[5]], [6, 3]).copy()
        pairs += [(both[:1], alone[0]), (both[1:], alone[1])]
    else:
        pairs.append((model.decode([tokens[6]], [6]).copy(), alone[0]))
    for got, expected in pairs:
        # Written so that a result that is not a number fails too.
        if not float(np.abs(got - expected).max()) <= _TOLERANCE * float(expected.std()):
            raise ModelUnavailable(
                "the model gives other results for several requests at once than for each alone:"
                " export it with onnxruntime_genai.models.builder and grouped-query attention, or"
                " choose another provider"
            )


def copies_rows(model: OnnxModel) -> bool:
    """Tell whether a copied row gives what its original gives; if not, the engine does without copies."""
    if model.slots < 2 or not model.can_copy:
        return True
    tokens = [(11 * i + 5) % model.vocabulary for i in range(7)]
    try:
        model.prefill(1, tokens[::-1], 0)
        model.prefill(0, tokens[:6], 0)
        model.copy(0, 1, 6)
        both = model.decode([tokens[6]] * 2, [6, 6])
    except Exception:  # whatever a device's provider raises: it is not needed
        return False
    return bool(np.abs(both[1] - both[0]).max() <= _TOLERANCE * both[0].std())
