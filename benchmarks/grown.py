"""Routers of a size: with many keys, models, homes or workers, and what each of their gateways spends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.entries import MODEL, Entry
from benchmarks.native import CannotMeasure
from benchmarks.processes import Cores, Tree, on_cores
from benchmarks.scenarios import Meter

PIPELINE = ("api_keys", "rate_limits", "usage", "metrics", "openai_errors")
_BEGIN = 120.0  # seconds for all streams of a crowd to begin


@dataclass(frozen=True)
class Size:
    """How large a router is.

    Args:
        name: What it is called in the table.
        keys: API keys in its database.
        models: In its catalog.
        homes: Of the model that is asked for, each at an address of its own.
        balance: How one of them is chosen.
        workers: Gateway processes.
    """

    name: str
    keys: int = 10
    models: int = 10
    homes: int = 1
    balance: str = "round_robin"
    workers: int = 1


class GrownRouter(Entry):
    """A real ``hoonify-router serve`` of a size, with the whole pipeline; ``wait`` says when it answers.

    Args:
        size: How large it is.
        cores: Where its processes run.
        folder: For its configuration, state and log.
        upstream: Port of the mock.
    """

    model = MODEL

    def __init__(self, size: Size, cores: Cores, folder: Path, upstream: int) -> None:
        self.size = size
        self._upstream = upstream
        self.keys: list[str] = []
        super().__init__(size.name, cores, folder)

    @property
    def key_file(self) -> Path:
        """Return the file with all keys, for the load generator."""
        return self.folder / "keys"

    def start(self) -> Tree:
        config = self.folder / "router.yaml"
        config.write_text(json.dumps(self._config()))  # JSON is YAML
        state = self.folder / "state"
        state.mkdir()
        self.keys = _fill_database(state, self.size.keys)
        self.key = self.keys[0]
        self.key_file.write_text("\n".join(self.keys) + "\n")
        self.started = time.monotonic()
        return Tree(
            [sys.executable, "-m", "hoonify_router", "serve", "--config", str(config)],
            self.cores.gateway,
            self.folder / "log",
            {"HOONIFY_STATE_DIR": str(state)},
        )

    def wait(self) -> float:
        """Wait until it answers; return the seconds that its start has taken."""
        self.tree.wait_for(f"http://127.0.0.1:{self.port}/ready", 300)
        return time.monotonic() - self.started

    def gateways(self) -> list[int]:
        """Return the ids of its gateway processes: its children that listen on its port."""
        inodes = _listeners(self.port)
        found = []
        for pid in self.tree.pids():
            if pid != self.tree.process.pid and inodes & _sockets_of(pid):
                found.append(pid)
        return sorted(found)

    def metrics(self) -> dict[str, float]:
        """Return what ``/metrics`` says, by series."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/metrics")
        request.add_header("Authorization", f"Bearer {self.key}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        told = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in told}

    def _config(self) -> dict[str, Any]:
        size = self.size
        model = {
            "provider": "Bench",
            "context_length": 131072,
            "options": {"model": "mock"},
            "backend": "openai",
        }
        one = {**model, "url": f"http://127.0.0.1:{self._upstream}"}
        models: dict[str, Any] = {f"model-{number}": one for number in range(1, size.models)}
        if size.homes == 1:
            models[MODEL] = one
        else:
            homes = [
                {
                    "backend": "openai",
                    "url": f"http://127.0.{n // 250}.{n % 250 + 1}:{self._upstream}",
                }
                | {"options": {"model": "mock"}}
                for n in range(size.homes)
            ]
            rest = {name: model[name] for name in ("provider", "context_length")}
            models[MODEL] = rest | {"homes": homes, "balance": size.balance}
        limits = {"requests_per_minute": 10**9, "tokens_per_minute": 10**12}
        return {
            "server": {"host": "127.0.0.1", "port": self.port, "workers": size.workers},
            "pipeline": list(PIPELINE),
            "plugins": {"rate_limits": {"plans": {"bench": limits}}},
            "models": models,
        }


def _fill_database(state: Path, count: int) -> list[str]:
    """Make a router's database with so many keys in one transaction; return the keys."""
    from sqlalchemy import insert, update

    from hoonify_plugins.api_keys.record import new_key
    from hoonify_plugins.api_keys.store import _values
    from hoonify_plugins.database.opening import Database
    from hoonify_plugins.database.tables import api_keys, key_changes

    made = [new_key(f"bench {number}", "bench") for number in range(count)]
    database = Database(f"sqlite:///{state / 'hoonify.db'}")
    try:
        with database.write() as connection:
            rows = [_values(record) | {"changed": n + 1} for n, (record, _) in enumerate(made)]
            connection.execute(insert(api_keys), rows)
            connection.execute(update(key_changes).values(number=count))
    finally:
        database.close()
    return [key for _, key in made]


def cpu_of(pids: list[int]) -> float:
    """Return the CPU seconds, user and system, that processes have had so far."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def resident_mib(pid: int) -> float:
    """Return the resident memory of one process, pages that it shares with others included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise CannotMeasure(f"process {pid} is gone")


def open_files(pid: int) -> int:
    """Return how many files a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def _listeners(port: int) -> set[str]:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = (line.split() for line in lines)
    return {f[9] for f in fields if f[3] == "0A" and int(f[1].rpartition(":")[2], 16) == port}


def _sockets_of(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for file in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{file}")
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


class Crowd:
    """Many streams at the same time, under way in a load generator that can be asked how far it is.

    Args:
        meter: The programs and the router.
        streams: How many.
        pause: Seconds between two tokens of a stream.
        tokens: Of each stream.
        ramp: Seconds over which they begin.
    """

    def __init__(
        self, meter: Meter, streams: int, pause: float, tokens: int, ramp: float = 1.0
    ) -> None:
        entry = meter.entry
        command = [str(meter.programs.load), "--port", str(entry.port), "--model", entry.model]
        if entry.key:
            command += ["--key", entry.key]
        command += ["--stream", "--connections", str(streams), "--requests", str(streams)]
        longest = ramp + pause * tokens + 60  # not for the starts: for the last end
        command += ["--seconds", str(longest), "--ramp-ms", str(int(ramp * 1000))]
        command += ["--tokens", str(tokens), "--pause-us", str(int(pause * 1e6))]
        command += ["--progress"]
        self.streams = streams
        self._longest = longest + 60
        with on_cores(entry.cores.load):
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._read()  # from now on it hears

    def tokens(self) -> int:
        """Return how many tokens have come so far."""
        return int(self._ask()["tokens"])

    def wait_begun(self) -> None:
        """Wait until every stream has brought a token.

        Raises:
            CannotMeasure: They do not.
        """
        deadline = time.monotonic() + _BEGIN
        while self._ask()["begun"] < self.streams:
            if time.monotonic() > deadline:
                raise CannotMeasure(f"not all of {self.streams} streams have begun in time")
            time.sleep(0.2)

    def end(self) -> dict[str, Any]:
        """Wait for the end of all streams; return what the load generator saw."""
        out, _ = self._process.communicate(timeout=self._longest)
        seen: dict[str, Any] = json.loads(out)
        return seen

    def stop(self) -> None:
        """Leave, whatever is under way."""
        self._process.kill()
        self._process.communicate()

    def _ask(self) -> dict[str, Any]:
        self._process.send_signal(signal.SIGUSR1)
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        told: dict[str, Any] = json.loads(line)
        if "begun" not in told:
            raise CannotMeasure(f"the streams ended too early: {told}")
        return told


@contextlib.contextmanager
def crowd(
    meter: Meter, streams: int, pause: float, tokens: int, ramp: float = 1.0
) -> Iterator[Crowd]:
    """Run a crowd of streams; it is gone afterwards."""
    one = Crowd(meter, streams, pause, tokens, ramp)
    try:
        yield one
    finally:
        one.stop()
