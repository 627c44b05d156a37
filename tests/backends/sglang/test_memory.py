"""What a home takes of its GPUs: a share of each, as its options say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hoonify_backends.sglang import SGLangOptions, memory
from hoonify_backends.sglang.memory import estimate
from hoonify_router.api import HomeConfig

GIB = 1024**3
H100 = 80 * GIB


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """Two GPUs; a test may change that."""
    there = {0: H100, 1: H100}
    monkeypatch.setattr(memory, "nvidia_memory", lambda: there)
    return there


def taken(gpu: list[int] | None = None, **options: Any) -> dict[int, int] | None:
    """Return what a home claims."""
    return estimate(
        SGLangOptions(model="m/m", **options), HomeConfig("sglang", gpu=gpu or []), Path()
    )


@pytest.mark.usefixtures("gpus")
def test_by_default_it_fills_its_gpus() -> None:
    """As far as a driver lets it: what is never free cannot be waited for."""
    assert taken() == {0: int(0.97 * H100)}
    assert taken(tensor_parallel=2) == {0: int(0.97 * H100), 1: int(0.97 * H100)}


@pytest.mark.usefixtures("gpus")
def test_a_share_leaves_room_for_others() -> None:
    """What a step takes comes on top, the more the longer the pieces of prompts are."""
    small, large = (
        taken(mem_fraction_static=0.4, chunked_prefill_size=size) for size in (2048, 8192)
    )
    assert small is not None
    assert large is not None
    assert 0.4 * H100 + 3 * GIB < small[0] < large[0] < 0.4 * H100 + 16 * GIB
    assert taken(mem_fraction_static=0.4) == large
    undivided = taken(mem_fraction_static=0.4, chunked_prefill_size=-1)
    assert undivided is not None
    assert undivided[0] > large[0]
    assert taken(mem_fraction_static=0.95) == taken()


def test_it_is_counted_on_the_gpus_that_it_gets(gpus: dict[int, int]) -> None:
    """By the driver's numbers, and as many as one machine needs."""
    gpus.update(dict.fromkeys(range(2, 8), H100))
    assert set(taken([5, 6, 7], tensor_parallel=2) or ()) == {5, 6}
    assert set(taken(tensor_parallel=16, nnodes=2) or ()) == set(range(8))


def test_where_nobody_tells_nothing_is_claimed(gpus: dict[int, int]) -> None:
    """And a home on the CPU takes no GPU."""
    assert taken(device="cpu") is None
    gpus.clear()
    assert taken(tensor_parallel=8) is None
