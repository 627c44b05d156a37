"""ExLlamaV2 and V3 keep every promise: the real packages on a CPU, in a worker process in their own environment."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import pytest

from hoonify_backends.exllama import hoonify_register_backends
from hoonify_router.api import Backend, HomeConfig, Unavailable, WorkerBackend
from hoonify_router.testing import BackendConformance

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv-exllama" / "bin" / "python"
DONE = ROOT / ".venv-exllama" / ".installed"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not DONE.exists(), reason="no environment with ExLlama: `make test-exllama` makes it"
    ),
]


def on_a_cpu(name: str, engine: str) -> Backend:
    """Return a backend with the engine that does without a GPU."""
    [backend] = [one for one in hoonify_register_backends() if one.name == name]
    assert isinstance(backend, WorkerBackend)

    def fine(options: object, home: HomeConfig, base_dir: Path) -> Unavailable | None:
        return None

    return dataclasses.replace(
        backend,
        engine=f"tests.backends.exllama.ring_two.{engine}",
        check=fine,
    )


class TestExLlamaV2(BackendConformance):
    """With pages, as with flash-attn."""

    backend = on_a_cpu("exllamav2", "engine:CpuExLlamaV2Engine")
    python = str(PYTHON)
    options: ClassVar = {"model": "models/tiny-chat/hf", "slots": 8, "cache_tokens": 8192}


class TestExLlamaV3(BackendConformance):
    """It always has pages."""

    backend = on_a_cpu("exllamav3", "engine_v3:CpuExLlamaV3Engine")
    python = str(PYTHON)
    options: ClassVar = {"model": "models/tiny-chat/hf", "slots": 8, "cache_tokens": 8192}
