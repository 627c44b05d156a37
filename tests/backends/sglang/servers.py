"""The SGLang servers that a router under test has launched, asked by themselves."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import ROOT, Router, alive

from hoonify_backends.sglang import ENVIRONMENTS
from hoonify_router.environments import EnvironmentStore
from hoonify_router.environments.store import FOLDER_VARIABLE


def built(accelerator: str) -> Path | None:
    """Return the folder with SGLang's environment for an accelerator; ``None`` where there is none."""
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else ROOT / "config" / "var" / "environments"
    store = EnvironmentStore(folder)
    found = [one for one in ENVIRONMENTS if one.accelerator == accelerator]
    return folder if any(store.current(one) for one in found) else None


def interpreter(accelerator: str) -> str | None:
    """Return the Python of SGLang's environment for an accelerator."""
    folder = built(accelerator)
    if folder is None:
        return None
    store = EnvironmentStore(folder)
    (found,) = (one for one in ENVIRONMENTS if one.accelerator == accelerator)
    current = store.current(found)
    assert current is not None
    return str(current.python)


def environment() -> Path:
    """Return the folder with SGLang's environment for the CPU; skip the test where there is none."""
    folder = built("cpu")
    if folder is None:
        pytest.skip(
            "SGLang's environment is not built: hoonify-router env sync sglang --accelerator cpu"
        )
    return folder


@dataclass(frozen=True)
class Server:
    """One launched server.

    Args:
        pid: Its process; the engine's other processes are its children.
        port: Where it listens.
        key: What it asks for.
    """

    pid: int
    port: int
    key: str

    def ask(self, path: str, body: Any = None) -> Any:
        """Ask it by itself, past the router."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    @property
    def busy(self) -> int:
        """Return the requests that run or wait there."""
        (rank,) = self.ask("/v1/loads?include=core")["loads"]
        return int(rank["num_running_reqs"]) + int(rank["num_waiting_reqs"])


def servers(router: Router) -> list[Server]:
    """Return the servers that a router has launched and that live."""
    found = []
    for pid in router.processes():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if len(words) > 1 and words[1].endswith("hoonify_launch_on_cpu.py") and alive(pid):
            port, file = (words[words.index(flag) + 1] for flag in ("--port", "--config"))
            key = Path(file).read_text().split('"')[1]
            assert key not in " ".join(words)
            found.append(Server(pid, int(port), key))
    return sorted(found, key=lambda server: server.pid)


def slow_down(router: Router, seconds: float | None) -> None:
    """Let every step of every server take so much longer."""
    for server in servers(router):
        server.ask("/slow_down", {"forward_sleep_time": seconds})


def until(condition: Callable[[], Any], what: str, patience: float = 60) -> Any:
    """Return the first truthy value of ``condition``, asked not too often."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            if value := condition():
                return value
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.2)
    pytest.fail(f"waited {patience:.0f} s in vain for {what}")
