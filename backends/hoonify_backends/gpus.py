"""Whether this machine has a GPU, without importing an engine."""

from __future__ import annotations

import os
import shutil
import subprocess


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


def _device_files() -> list[str]:
    try:
        return os.listdir("/dev")
    except OSError:
        return []
