"""The memory of this machine's GPUs, as NVML tells it through nvidia-smi: the core needs no library for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import subprocess
from abc import ABC, abstractmethod

log = logging.getLogger(__name__)

_TIMEOUT = 10.0
_MIB = 2**20


class GpuMemory(ABC):
    """What is known of the GPUs here; tests bring one of their own."""

    @abstractmethod
    def total(self) -> dict[int, int]:
        """Return the bytes of each GPU by its number; nothing where there is none or nobody can tell."""

    @abstractmethod
    async def free(self) -> dict[int, int]:
        """Return the bytes that nobody uses now, by the GPU's number; nothing where nobody can tell."""


class NvidiaSmi(GpuMemory):
    """Asks ``nvidia-smi``, where there is one.

    Args:
        program: What to run.
    """

    def __init__(self, program: str = "nvidia-smi") -> None:
        self._program = shutil.which(program)

    def total(self) -> dict[int, int]:
        """Ask and wait; called once, before anything else happens."""
        if self._program is None:
            return {}
        try:
            done = subprocess.run(
                self._command("memory.total"),
                capture_output=True,
                timeout=_TIMEOUT,
                check=True,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("nvidia-smi does not tell of GPUs: %s", error)
            return {}
        return parse_memory(done.stdout.decode("utf-8", "replace"))

    async def free(self) -> dict[int, int]:
        """Ask without keeping the loop waiting."""
        if self._program is None:
            return {}
        process = None
        try:
            async with asyncio.timeout(_TIMEOUT):
                process = await asyncio.create_subprocess_exec(
                    *self._command("memory.free"),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
                out, _ = await process.communicate()
        except (OSError, TimeoutError):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            return {}
        return parse_memory(out.decode("utf-8", "replace"))

    def _command(self, what: str) -> list[str]:
        return [str(self._program), f"--query-gpu=index,{what}", "--format=csv,noheader,nounits"]


def parse_memory(text: str) -> dict[int, int]:
    """Return what lines such as ``0, 143771`` (GPU, MiB) say; GPUs that tell nothing are left out."""
    found = {}
    for line in text.splitlines():
        index, _, size = line.partition(",")
        with contextlib.suppress(ValueError):
            found[int(index)] = int(size) * _MIB
    return found
