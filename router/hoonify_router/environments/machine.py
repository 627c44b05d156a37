"""The machine's NVIDIA GPUs, as the driver's own tool tells of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

_TOOL = "nvidia-smi"
_PATIENCE = 20.0
_FIELDS = "index,name,memory.total,memory.free,driver_version"
_CUDA = re.compile(r"CUDA Version\s*:\s*([0-9.]+)")


@dataclass(frozen=True)
class GPU:
    """One GPU; memory in MiB."""

    index: int
    name: str
    memory: int
    free: int


@dataclass(frozen=True)
class Graphics:
    """All GPUs.

    Args:
        gpus: In the order of the driver.
        driver: Its version; empty where there is none.
        cuda: The newest CUDA that the driver can run.
        missing: What is missing, in one sentence; empty when nothing is.
    """

    gpus: tuple[GPU, ...] = ()
    driver: str = ""
    cuda: str = ""
    missing: str = ""


def look_for_gpus() -> Graphics:
    """Return the GPUs that this machine has; takes a second or two where there are any."""
    tool = shutil.which(_TOOL)
    if tool is None:
        if any(name[6:].isdigit() for name in _device_files() if name.startswith("nvidia")):
            return Graphics(missing="There is an NVIDIA GPU, but nvidia-smi is not installed.")
        return Graphics(missing="No NVIDIA driver is installed (there is no nvidia-smi).")
    try:
        listed = _ask(tool, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits")
        lines = [[cell.strip() for cell in line.split(",")] for line in listed.splitlines()]
        gpus = tuple(
            GPU(int(index), name, _number(memory), _number(free))
            for index, name, memory, free, _ in (line for line in lines if len(line) == 5)
        )
        driver = next((line[4] for line in lines if len(line) == 5), "")
        found = _CUDA.search(_ask(tool)) if gpus else None
    except (OSError, ValueError, subprocess.SubprocessError) as exc:
        return Graphics(missing=f"The NVIDIA driver does not work: {_why(exc)}.")
    if not gpus:
        return Graphics(driver=driver, missing="The NVIDIA driver shows no GPU.")
    return Graphics(gpus, driver, found[1] if found else "")


def _ask(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise ValueError(said[0] if said else f"{_TOOL} ended with {done.returncode}")
    return done.stdout


def _number(cell: str) -> int:
    """Return a count of MiB; some GPUs that share the host's memory tell none."""
    return int(cell) if cell.isdigit() else 0


def _why(failure: Exception) -> str:
    if isinstance(failure, subprocess.TimeoutExpired):
        return f"{_TOOL} does not answer"
    return str(failure).rstrip(".")


def _device_files() -> list[str]:
    try:
        return os.listdir("/dev")
    except OSError:
        return []
