"""What GPUs this machine has, without importing an engine."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess

_MIB = 1024**2


def has_nvidia_device() -> bool:
    """Tell whether an NVIDIA GPU can be seen, by its device file or by asking the driver's tool.

    Engines' own lists of what they can run on say only what they were compiled with.
    """
    if any(name[6:].isdigit() for name in _device_files() if name.startswith("nvidia")):
        return True
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        done = subprocess.run(
            [tool, "--list-gpus"], capture_output=True, timeout=5, check=False, text=True
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0 and "GPU " in done.stdout


def nvidia_memory() -> dict[int, int]:
    """Return the bytes of each NVIDIA GPU by its number; nothing where there is none, or nobody tells."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    try:
        return dict(_memory(tool))
    except (OSError, subprocess.SubprocessError):
        return {}


@functools.cache  # it does not change, and to ask for it takes a moment
def _memory(tool: str) -> tuple[tuple[int, int], ...]:
    """Ask the driver's tool.

    Raises:
        OSError: It cannot be run.
        subprocess.SubprocessError: It fails or takes too long.
    """
    done = subprocess.run(
        [tool, "--query-gpu=index,memory.total", "--format=csv,noheader,nounits"],
        capture_output=True,
        timeout=5,
        check=True,
        text=True,
    )
    found = []
    for line in done.stdout.splitlines():
        index, _, size = line.partition(",")
        with contextlib.suppress(ValueError):  # some that share the host's memory tell none
            found.append((int(index), int(size) * _MIB))
    return tuple(found)


def _device_files() -> list[str]:
    try:
        return os.listdir("/dev")
    except OSError:
        return []
