"""From options to a model of which onnxruntime-genai's engine has proved that it can run it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hoonify_backends.generation.folder import FolderProblem
from hoonify_backends.gpus import has_nvidia_device
from hoonify_backends.onnxruntime.genai.options import GenaiOptions
from hoonify_backends.onnxruntime.model_folder import ModelFolder, read_model_folder
from hoonify_backends.onnxruntime.providers import device_name
from hoonify_backends.onnxruntime.sessions import usable_cores
from hoonify_router.errors import ModelUnavailable

_TRIAL_STEPS = 1000


@dataclass(frozen=True)
class LoadedEngine:
    """A model that an engine can run, and what an operator wants to know of it.

    Args:
        model: An ``og.Model``.
        folder: Where its model came from.
        context_length: Tokens of prompt and answer together.
        slots: Requests that run at once.
        continuous: Whether a request may join those that run; only then does it know seeds.
        device: Where it runs, such as ``cpu``.
        memory_bytes: Its weights.
        details: More facts.
    """

    model: Any
    folder: ModelFolder
    context_length: int
    slots: int
    continuous: bool
    device: str
    memory_bytes: int
    details: dict[str, str]


def load_engine(options: GenaiOptions, stage: Callable[[str], None]) -> LoadedEngine:
    """Load the model that the options name; blocks.

    Args:
        options: The home's options; relative paths count from the working directory.
        stage: Told what is done now.

    Raises:
        ModelUnavailable: It cannot be loaded.
    """
    stage("reading the model's folder")
    try:
        folder = read_model_folder(Path(options.model).resolve(), shared_buffer=False)
    except FolderProblem as problem:
        raise ModelUnavailable(problem.detail) from problem
    facts = folder.config.model
    context_length = options.max_length or facts.context_length
    if context_length > facts.context_length:
        raise ModelUnavailable(
            f"max_length: {context_length} is over the model's {facts.context_length}"
        )
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, when the library is loaded
    import onnxruntime_genai as og

    og.disable_telemetry_events()
    paged = folder.config.engine.dynamic_batching is not None
    config = og.Config(str(folder.path))
    config.overlay(json.dumps(overlay(options, context_length, paged)))
    wanted = _choose_provider(config, options, folder, og)
    stage("loading weights")
    model = og.Model(config)
    got = str(model.device_type).lower()
    if wanted == "cuda" and "cuda" not in got:
        raise ModelUnavailable(
            f"provider: cuda was asked for, but onnxruntime-genai runs on {got}: the driver or a library of"
            " CUDA or cuDNN is missing or too old; its own messages on stderr say which"
        )
    stage("checking the model")
    slots, continuous = _try_out(og.Engine(model), og)
    weights = sum(file.stat().st_size for file in folder.path.glob(f"{folder.graph.name}*"))
    on_gpu = "cuda" in got
    return LoadedEngine(
        model,
        folder,
        context_length,
        slots or options.slots,
        continuous,
        device_name("CUDAExecutionProvider", options.device_id) if on_gpu else "cpu",
        weights,
        {
            "batching": "continuous" if continuous else "static",
            "model_type": facts.type or "unknown",
            "weights": f"{weights / 1024**2:.1f} MiB",
        },
    )


def overlay(options: GenaiOptions, context_length: int, paged: bool) -> dict[str, Any]:
    """Return what the options change of the model's ``genai_config.json``."""
    batching: dict[str, Any] = {"max_batch_size": options.slots}
    if paged and options.kv_memory_fraction is not None:
        batching["gpu_utilization_factor"] = options.kv_memory_fraction
    threads = options.threads or usable_cores()
    return {
        "model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}},
        "search": {"max_length": context_length},
        "engine": {"dynamic_batching" if paged else "static_batching": batching},
    }


def _choose_provider(config: Any, options: GenaiOptions, folder: ModelFolder, og: Any) -> str:
    """Tell the library where to run; return what it must come to."""
    exported_for_gpu = folder.config.model.decoder.on_cuda
    if options.provider == "cpu" or (
        options.provider == "auto" and not (exported_for_gpu and has_nvidia_device())
    ):
        config.clear_providers()
        return "cpu"
    if not og.is_cuda_available():
        raise ModelUnavailable(
            "provider: cuda is set, but the installed onnxruntime-genai was built without CUDA; run:"
            " hoonify-router env sync onnxruntime_genai --accelerator cuda"
        )
    if not has_nvidia_device():
        raise ModelUnavailable("provider: cuda is set, but there is no NVIDIA GPU here")
    config.clear_providers()
    config.append_provider("cuda")
    config.set_provider_option("cuda", "device_id", str(options.device_id))
    return "cuda" if options.provider == "cuda" else "any"


def _try_out(engine: Any, og: Any) -> tuple[int, bool]:
    """Let an engine make one token; return its slots, and whether it batches continuously.

    Only then it takes a seed.
    """
    slots = int(engine.get_capabilities().configured_max_batch_size)
    continuous = True
    request = engine.create_request()
    turn = og.TurnOptions(request)
    turn.set_do_sample(True)
    turn.set_top_k(2)
    turn.set_temperature(1.0)
    turn.set_max_generated_tokens(1)
    turn.set_seed(1)
    tokens = np.array([1, 2, 3], np.int32)
    try:
        request.begin_turn(tokens, turn)
    except RuntimeError:
        continuous = False
        turn.clear_seed()
        request.begin_turn(tokens, turn)
    buffer = engine.create_event_buffer(8)
    for _ in range(_TRIAL_STEPS):
        engine.run(buffer)
        if not engine.has_pending_requests():
            request.close()
            return slots, continuous
    raise ModelUnavailable("the engine was given one token to make and did not come to an end")
