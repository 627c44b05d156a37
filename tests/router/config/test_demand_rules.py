"""When a home runs and on which GPUs: what makes no sense is told with its line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import GOOD

Problems = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        (
            "    idle_stop: 15m\n",
            ["7: models.polly.idle_stop: has a meaning with start: on_demand only"],
        ),
        (
            "    gpu: [0, 1, 0]\n",
            ["7: models.polly.gpu[2]: names 0 a second time"],
        ),
        (
            "    gpu_memory: [1GiB, 2GiB]\n",
            [
                "7: models.polly.gpu_memory: a list needs gpu: [...], whose GPUs it goes through",
            ],
        ),
        (
            "    gpu: [1]\n    gpu_memory: [1GiB, 2GiB]\n",
            [
                "8: models.polly.gpu_memory: must have one size for each of the 1 GPUs in gpu, has 2",
            ],
        ),
        (
            "    gpu_memory: 20G\n",
            [
                '7: models.polly.gpu_memory: must be a size such as 20GiB or 500MB, got "20G"',
            ],
        ),
    ],
)
def test_what_makes_no_sense_is_told(problems: Problems, more: str, lines: list[str]) -> None:
    """With its line and what to do."""
    assert problems(GOOD + more) == [f"router.yaml:{line}" for line in lines]


def test_what_makes_sense_is_taken(problems: Problems) -> None:
    """One size for all GPUs, or one for each."""
    demand = "    start: on_demand\n    idle_stop: 15m\n    hold_timeout: 2m\n"
    for gpus in ("    gpu_memory: 20GiB\n", "    gpu: [0, 1]\n    gpu_memory: [1GiB, 2GiB]\n"):
        assert problems(GOOD + demand + gpus) == []
