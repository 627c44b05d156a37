"""A session of ONNX Runtime where the operator wishes it, and nowhere else without a word."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hoonify_backends.gpus import has_nvidia_device
from hoonify_backends.onnxruntime.options import Provider
from hoonify_backends.onnxruntime.providers import choose_provider, confirm_provider

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_SPIN = 20  # microseconds that threads look out for the next operator before they sleep


def open_session(
    graph: Path,
    log: logging.Logger,
    *,
    provider: Provider,
    device_id: int = 0,
    threads: int | None = None,
    spinning: bool = False,
    cuda: Mapping[str, str] | None = None,
    provider_options: Mapping[str, str | int | float | bool] | None = None,
) -> tuple[Any, str]:
    """Open a session; blocks.

    Args:
        graph: The ONNX file.
        log: Where warnings go.
        provider: What the operator says.
        device_id: Which NVIDIA GPU.
        threads: CPU threads at most; no more than the cores that this process may use, ``None`` takes all.
        spinning: Whether they spin between calls of the model, too.
        cuda: What CUDA's provider is told.
        provider_options: The operator's own options for the GPU's provider.

    Returns:
        The session, and the execution provider that it really got.

    Raises:
        ModelUnavailable: The operator insists on what cannot be had here.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, when the library is loaded
    import onnxruntime

    choice = choose_provider(
        provider,
        available=onnxruntime.get_available_providers(),
        has_gpu=provider != "cpu" and has_nvidia_device(),
        device_id=device_id,
        cuda=cuda,
        options=provider_options,
    )
    if choice.on_gpu:
        onnxruntime.preload_dlls()  # finds CUDA and cuDNN where pip put them
    settings = session_settings(threads, spinning=spinning)
    try:
        session = onnxruntime.InferenceSession(graph, settings, providers=choice.providers)
    except Exception as exc:
        if choice.strict:
            raise
        log.warning("%s failed, running on the CPU instead: %s", choice.wanted, exc)
        choice = choose_provider("cpu", available=(), has_gpu=False)
        session = onnxruntime.InferenceSession(graph, settings, providers=choice.providers)
    confirm_provider(choice, session.get_providers(), log)
    return session, session.get_providers()[0]


def session_settings(threads: int | None, *, spinning: bool) -> Any:
    """Return the settings of a session.

    The operators of a step take some ten microseconds each: threads that sleep between them come too late for
    most. So they spin for a moment, but not when a call has ended, nor for long where others need the core.
    """
    from onnxruntime import SessionOptions

    settings = SessionOptions()
    settings.intra_op_num_threads = thread_count(threads)
    settings.inter_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "1")
    if not spinning:
        settings.add_session_config_entry("session.intra_op.spin_duration_us", str(_SPIN))
        settings.add_session_config_entry("session.force_spinning_stop", "1")
    return settings


def thread_count(wanted: int | None) -> int:
    """Return how many threads a session has: no more than there are cores, which ``None`` takes all."""
    cores = usable_cores()
    return min(wanted or cores, cores)


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
