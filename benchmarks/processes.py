"""Start processes on chosen cores, add up what whole process trees cost, and end them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.native import CannotMeasure

_BELOW_CLIENTS = range(20000, 32768)  # the system gives clients' ends of connections higher ones


@dataclass(frozen=True)
class Cores:
    """Which core serves whom; empty sets where there is nothing to choose."""

    gateway: frozenset[int]
    mock: frozenset[int]
    load: frozenset[int]

    @classmethod
    def chosen(cls) -> Cores:
        """Give the gateway a core of its own; mock and load share another one on a machine with two."""
        have = sorted(os.sched_getaffinity(0))
        if len(have) < 2:
            return cls(frozenset(), frozenset(), frozenset())
        return cls(
            gateway=frozenset({have[-1]}),
            mock=frozenset({have[0]}),
            load=frozenset({have[1] if len(have) > 2 else have[0]}),
        )


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody uses now, nor a client's end by accident soon."""
    while True:
        port = random.SystemRandom().choice(_BELOW_CLIENTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """Keep what is started inside, and all its children, on ``cores``."""
    usual = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)  # inherited at fork
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


class Tree:
    """A process and its descendants, in a session of their own.

    Args:
        command: What to run.
        cores: Where it may run.
        log: File for its output.
        environment: Variables beside those of this process.
    """

    def __init__(
        self,
        command: Sequence[str],
        cores: frozenset[int],
        log: Path,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.log = log
        with log.open("wb") as output, on_cores(cores):
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def pids(self) -> list[int]:
        """Return the ids of the process and its live descendants."""
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                    children.setdefault(parent, []).append(int(folder.name))
        found = [self.process.pid]
        for pid in found:
            found.extend(children.get(pid, []))
        return found

    def cpu_seconds(self) -> dict[int, float]:
        """Return the CPU time, user and system, that each process of the tree has had so far."""
        times = {}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                # Linux's id of another process's CPU clock; exact, where /proc/PID/stat counts ticks.
                times[pid] = time.clock_gettime((~pid << 3) | 2)
        return times

    def memory_mib(self) -> float:
        """Return the memory of the tree, pages that several processes share counted once."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        return total / 1024

    def wait_for(self, url: str, seconds: float = 60) -> None:
        """Wait until ``url`` answers with 200.

        Raises:
            CannotMeasure: It does not, or the process has ended.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.05)
        said = self.log.read_text(errors="replace")[-2000:]
        raise CannotMeasure(f"{self.process.args!r} does not answer at {url}; it said:\n{said}")

    def stop(self) -> None:
        """Press Ctrl-C, and kill what is still there after ten seconds."""
        pids = self.pids()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """Return the CPU seconds between two readings; a process that began in between counts from 0."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())
