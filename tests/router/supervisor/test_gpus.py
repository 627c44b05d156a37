"""GPUs are told where ``nvidia-smi`` tells of them, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoonify_router.supervisor import gpus as module
from hoonify_router.supervisor.gpus import Gpus
from hoonify_router.types.status import GpuSnapshot

GIB = 1024**3


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where an ``nvidia-smi`` would be found, and no other."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(module, "_PROGRAM", "nvidia-smi-for-a-test")
    return tmp_path / "nvidia-smi-for-a-test"


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


async def test_all_gpus_are_told(program: Path) -> None:
    """Also one whose load is not known."""
    write(program, "echo '0, NVIDIA H200, 1024, 143360, 12'; echo '1, NVIDIA X, 0, 1024, [N/A]'")
    assert await Gpus().read() == [
        GpuSnapshot(
            index=0,
            name="NVIDIA H200",
            memory_used_bytes=GIB,
            memory_total_bytes=140 * GIB,
            utilization=0.12,
        ),
        GpuSnapshot(index=1, name="NVIDIA X", memory_used_bytes=0, memory_total_bytes=GIB),
    ]


@pytest.mark.parametrize("script", ["exit 9", "echo 'No devices were found'", "kill -9 $$"])
async def test_a_program_that_fails_is_no_gpu(program: Path, script: str) -> None:
    """Nor is one that says something else."""
    write(program, script)
    assert await Gpus().read() == []


async def test_without_the_program_there_is_none(program: Path) -> None:
    """As on most machines."""
    assert await Gpus().read() == []


async def test_a_program_that_hangs_is_not_waited_for(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver may; what was known before is told then."""
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    write(program, "exec sleep 60")
    assert await Gpus().read() == []


async def test_many_looks_ask_once(program: Path, tmp_path: Path) -> None:
    """The program takes its time."""
    write(program, f"echo x >> {tmp_path}/asked; echo '0, X, 0, 1024, 1'")
    gpus = Gpus()
    for _ in range(3):
        assert len(await gpus.read()) == 1
    assert (tmp_path / "asked").read_text() == "x\n"
