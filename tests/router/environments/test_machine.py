"""GPUs are what the driver's own tool says; where it is silent, one sentence says why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hoonify_router.environments import look_for_gpus
from hoonify_router.environments.machine import GPU


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where an ``nvidia-smi`` would be found."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(os, "listdir", lambda path: [])
    return tmp_path / "nvidia-smi"


def write(tool: Path, body: str) -> None:
    """Make it say something."""
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)


def test_gpus_are_told_with_their_memory(tool: Path) -> None:
    """Driver and CUDA too; memory that a GPU does not tell counts as none."""
    write(
        tool,
        """case "$1" in
--query*) echo '0, NVIDIA H200, 143771, 143000, 580.65.06'; echo '1, NVIDIA GB10, [N/A], [N/A], 580.65.06';;
*) echo '| NVIDIA-SMI 580.65.06   Driver Version: 580.65.06   CUDA Version: 13.0  |';;
esac""",
    )
    found = look_for_gpus()
    assert found.gpus == (
        GPU(0, "NVIDIA H200", 143771, 143000),
        GPU(1, "NVIDIA GB10", 0, 0),
    )
    assert (found.driver, found.cuda, found.missing) == ("580.65.06", "13.0", "")


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ("", "The NVIDIA driver shows no GPU."),
        (
            'echo "NVIDIA-SMI has failed because it couldn\'t communicate with the driver."; exit 9',
            "The NVIDIA driver does not work: NVIDIA-SMI has failed because it couldn't communicate"
            " with the driver.",
        ),
    ],
)
def test_a_driver_that_shows_nothing_is_told(tool: Path, body: str, missing: str) -> None:
    """In one sentence."""
    write(tool, body)
    found = look_for_gpus()
    assert (found.gpus, found.missing) == ((), missing)


def test_a_machine_without_a_driver_is_told(tool: Path) -> None:
    """Most of them."""
    assert look_for_gpus().missing == "No NVIDIA driver is installed (there is no nvidia-smi)."
