"""What homes take of their GPUs' memory, by formula."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.backends.exllama.folders import make_model, make_seeing_model

from hoonify_backends.exllama import hoonify_register_backends, memory
from hoonify_backends.exllama.checkpoint import read_checkpoint
from hoonify_backends.exllama.limits import read_limits
from hoonify_backends.exllama.memory import (
    cache_bytes,
    estimate,
    seeing_bytes,
    working_bytes,
)
from hoonify_backends.exllama.options import ExllamaOptions
from hoonify_router.api import HomeConfig

GIB = 1024**3
QWEN = {  # Qwen2.5-72B
    "hidden_size": 8192,
    "intermediate_size": 29568,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 131072,
    "vocab_size": 152064,
}


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The GPUs of this machine: one, unless a test says otherwise."""
    found = [0]
    monkeypatch.setattr(memory, "_all_gpus", lambda: found)
    return found


@pytest.mark.parametrize(
    ("cache", "gib"), [("fp16", 40.0), ("q8", 21.25 + 0.5), ("q6", 16.25 + 0.5), ("q4", 11.75)]
)
def test_the_cache_of_a_large_model(tmp_path: Path, cache: Any, gib: float) -> None:
    """A whole context of 131,072 tokens; a packed one has a layer unpacked beside it."""
    options = ExllamaOptions("m", cache=cache)
    model = read_checkpoint(make_model(tmp_path, **QWEN))
    assert cache_bytes(options, model, read_limits(options, model)) == gib * GIB


@pytest.mark.parametrize(
    ("config", "numbers"),
    [
        ({"num_key_value_heads": None, "head_dim": None}, 4 * 2 * 4 * 64),
        ({"num_key_value_heads": 1}, 4 * 2 * 64),
        ({"kv_lora_rank": 512, "qk_rope_head_dim": 64}, 4 * 576),
        ({"layer_types": ["linear_attention", "full_attention"] * 2}, 2 * 2 * 2 * 64),
        ({"text_config": {"num_hidden_layers": 6}}, 6 * 2 * 2 * 64),
    ],
)
def test_other_shapes_of_attention(tmp_path: Path, config: dict[str, Any], numbers: int) -> None:
    """Two bytes for each number and token."""
    options = ExllamaOptions("m", cache_tokens=1024)
    model = read_checkpoint(make_model(tmp_path, **config))
    assert cache_bytes(options, model, read_limits(options, model)) == numbers * 1024 * 2


def test_weights_cache_and_work_add_up(tmp_path: Path) -> None:
    """On the only GPU."""
    options = ExllamaOptions("m")
    model = read_checkpoint(make_model(tmp_path / "m", "exl2", **QWEN))
    limits = read_limits(options, model)
    parts = model.weights_bytes + cache_bytes(options, model, limits)
    total = estimate(options, HomeConfig("exllamav2"), tmp_path)
    assert total == GIB + parts + working_bytes(options, model)
    assert 1 * GIB < working_bytes(options, model) < 3 * GIB


def test_named_gpus_share_it(tmp_path: Path) -> None:
    """Each has libraries and work space of its own."""
    make_model(tmp_path / "m", **QWEN)
    options = ExllamaOptions("m")
    one = estimate(options, HomeConfig("exllamav2", gpu=[3]), tmp_path)
    two = estimate(options, HomeConfig("exllamav2", gpu=[3, 5]), tmp_path)
    assert isinstance(one, int)
    assert isinstance(two, int)
    assert one / 2 < two < one / 2 + 3 * GIB


def test_a_split_is_what_the_operator_says(tmp_path: Path, gpus: list[int]) -> None:
    """On the GPUs that the home names, or on the first."""
    options = ExllamaOptions("nowhere", gpu_split=[44, 76])
    assert estimate(options, HomeConfig("exllamav2", gpu=[2, 3]), tmp_path) == {
        2: 44 * GIB,
        3: 76 * GIB,
    }
    gpus[:] = []
    assert estimate(options, HomeConfig("exllamav2"), tmp_path) == {0: 44 * GIB, 1: 76 * GIB}


def test_what_cannot_be_told_is_not(tmp_path: Path, gpus: list[int]) -> None:
    """A model that is not there, or one that may go to any of several GPUs."""
    assert estimate(ExllamaOptions("nowhere"), HomeConfig("exllamav2"), tmp_path) is None
    make_model(tmp_path / "m")
    gpus[:] = [0, 1]
    assert estimate(ExllamaOptions("m"), HomeConfig("exllamav2"), tmp_path) is None


def test_both_backends_estimate() -> None:
    """By the same formula."""
    assert [backend.estimate for backend in hoonify_register_backends()] == [estimate, estimate]


def test_what_sees_takes_memory_too(tmp_path: Path) -> None:
    """Its weights, and the largest image between its layers; on one GPU, where the rest is shared."""
    make_seeing_model(tmp_path / "m", size=10**6)
    options = ExllamaOptions("m", image_pixels=10_000)
    patches, weights = 100, 3 * 2 * 10**6
    model = read_checkpoint(tmp_path / "m")
    assert seeing_bytes(options, model) == weights + patches * (6 * 64 + 2 * 128) * 2
    assert seeing_bytes(ExllamaOptions("m", images=0), model) == 0

    def told(gpu: list[int], **wishes: Any) -> Any:
        wished = ExllamaOptions("m", image_pixels=10_000, **wishes)
        return estimate(wished, HomeConfig(backend="exllamav2", gpu=gpu), tmp_path)

    assert told([0]) - told([0], images=0) == seeing_bytes(options, model)
    one, blind = told([0, 1]), told([0, 1], images=0)
    assert one - blind == seeing_bytes(options, model)
    assert told([0, 1], gpu_split=[0, 8]) == {0: 0, 1: 8 * GIB + seeing_bytes(options, model)}
