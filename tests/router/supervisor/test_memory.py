"""What nvidia-smi says of GPUs, and what is done where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoonify_router.supervisor.memory import NvidiaSmi, parse_memory

GIB = 2**30


@pytest.fixture
def smi(tmp_path: Path) -> Path:
    """A program that answers as nvidia-smi does."""
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\ncase "$1" in\n'
        '  --query-gpu=index,memory.total) printf "0, 81920\\n1, 81920\\n";;\n'
        '  --query-gpu=index,memory.free) printf "0, 1024\\n1, [N/A]\\n";;\n'
        "  *) exit 9;;\nesac\n"
    )
    program.chmod(0o755)
    return program


async def test_total_and_free_memory_by_gpu(smi: Path) -> None:
    """In bytes; a GPU that does not tell is left out."""
    memory = NvidiaSmi(str(smi))
    assert memory.total() == {0: 80 * GIB, 1: 80 * GIB}
    assert await memory.free() == {0: GIB}


async def test_without_the_program_nothing_is_known() -> None:
    """Most machines have none."""
    memory = NvidiaSmi("no-such-program-here")
    assert memory.total() == {}
    assert await memory.free() == {}


async def test_a_program_that_fails_is_as_good_as_none(smi: Path) -> None:
    """A driver that does not match its library is common."""
    smi.write_text("#!/bin/sh\necho 'Failed to initialize NVML'\nexit 18\n")  # noqa: ASYNC240 - a file of the test's
    memory = NvidiaSmi(str(smi))
    assert memory.total() == {}
    assert await memory.free() == {}


def test_other_lines_are_passed_over() -> None:
    """Warnings stand between the numbers now and then."""
    assert parse_memory("Warning: x, y\n\n0, 10\n2,20\n") == {0: 10 * 2**20, 2: 20 * 2**20}
