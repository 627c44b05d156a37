"""From options to a model that is ready to run, and a proof that its rows do not disturb each other."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hoonify_backends.onnxruntime.availability import clashing_libraries, has_nvidia_device
from hoonify_backends.onnxruntime.kv_cache import DeviceCache, HostCache, KVCache, KVLayout
from hoonify_backends.onnxruntime.model import Graph, OnnxModel
from hoonify_backends.onnxruntime.model_folder import FolderProblem, ModelFolder, read_model_folder
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_backends.onnxruntime.providers import (
    Choice,
    choose_provider,
    confirm_provider,
    device_name,
)
from hoonify_router.errors import ModelUnavailable

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
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
    stage("loading weights")
    session, provider = _open_session(options, folder, log)
    graph = Graph(session, facts.decoder)
    on_gpu = provider != "CPUExecutionProvider"
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
    )
    stage("checking the model")
    check_rows(model)
    weights = sum(file.stat().st_size for file in folder.path.glob(f"{folder.graph.name}*"))
    kv_bytes = slots * layout.row_bytes
    return LoadedModel(
        model,
        folder,
        device_name(provider, options.device_id),
        weights + kv_bytes,
        {
            "provider": provider,
            "kv_dtype": np.dtype(layout.dtype).name,
            "kv_memory": f"{kv_bytes / 1024**2:.1f} MiB",
            "model_type": facts.type or "unknown",
            "weights": f"{weights / 1024**2:.1f} MiB",
        },
    )


def _open_session(
    options: OnnxOptions, folder: ModelFolder, log: logging.Logger
) -> tuple[Any, str]:
    """Open the session where the options wish, and return it with the provider that it really got."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, when the library is loaded
    import onnxruntime

    choice = choose_provider(
        options.provider,
        available=onnxruntime.get_available_providers(),
        has_gpu=options.provider != "cpu" and has_nvidia_device(),
        device_id=options.device_id,
        options=options.provider_options,
    )
    if choice.on_gpu:
        onnxruntime.preload_dlls()  # finds CUDA and cuDNN where pip put them
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads or usable_cores()
    settings.inter_op_num_threads = 1
    settings.add_session_config_entry(
        "session.intra_op.allow_spinning", "1" if options.spinning else "0"
    )

    def open_with(choice: Choice) -> Any:
        return onnxruntime.InferenceSession(folder.graph, settings, providers=choice.providers)

    try:
        session = open_with(choice)
    except Exception as exc:
        if choice.strict:
            raise
        log.warning("%s failed, running on the CPU instead: %s", choice.wanted, exc)
        choice = choose_provider("cpu", available=(), has_gpu=False)
        session = open_with(choice)
    confirm_provider(choice, session.get_providers(), log)
    return session, session.get_providers()[0]


def usable_cores(quota: Path = _QUOTA) -> int:
    """Return how many cores this process may use; a container's quota counts, which ONNX Runtime ignores."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        limit, period = quota.read_text().split()
        return max(1, min(cores, math.ceil(int(limit) / int(period))))
    except (OSError, ValueError):  # no such file, or "max"
        return cores


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
