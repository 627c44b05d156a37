"""The GPUs of this machine and their memory, as ``nvidia-smi`` tells it; nothing where there is none."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time

from hoonify_router.types.status import GpuSnapshot

log = logging.getLogger(__name__)

_PROGRAM = "nvidia-smi"
_FIELDS = "index,name,memory.used,memory.total,utilization.gpu"
_PATIENCE = 5.0
_FRESH = 2.0
_MIB = 1024 * 1024


class Gpus:
    """Asks ``nvidia-smi``, but not more often than every other second, however many look."""

    def __init__(self) -> None:
        self._known: list[GpuSnapshot] = []
        self._asked = -_FRESH
        self._lock = asyncio.Lock()

    async def read(self) -> list[GpuSnapshot]:
        """Return all GPUs; what was known before, where ``nvidia-smi`` fails or takes too long."""
        async with self._lock:
            if time.monotonic() - self._asked >= _FRESH:
                self._asked = time.monotonic()
                try:
                    self._known = await _ask()
                except (OSError, TimeoutError, ValueError) as error:
                    log.debug("%s: %s", _PROGRAM, error)
            return self._known


async def _ask() -> list[GpuSnapshot]:
    program = shutil.which(_PROGRAM)
    if program is None:
        return []
    process = await asyncio.create_subprocess_exec(
        program,
        f"--query-gpu={_FIELDS}",
        "--format=csv,noheader,nounits",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise OSError(f"exit status {process.returncode}")
    return [_parse(line) for line in output.decode(errors="replace").splitlines() if line.strip()]


def _parse(line: str) -> GpuSnapshot:
    """Read one line, such as ``0, NVIDIA H200, 1024, 143771, 12``.

    Raises:
        ValueError: It is something else.
    """
    index, name, used, total, busy = (part.strip() for part in line.split(","))
    return GpuSnapshot(
        index=int(index),
        name=name,
        memory_used_bytes=int(used) * _MIB,
        memory_total_bytes=int(total) * _MIB,
        utilization=float(busy) / 100 if busy.replace(".", "").isdigit() else None,
    )
