"""A real `hoonify-router serve` in a process of its own, as an operator would start it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
KEY = re.compile(r"\bhoo_[0-9A-Za-z]{32,}\b")


def wait_until(condition: Callable[[], Any], timeout: float, what: str) -> Any:
    """Return the first truthy value of ``condition``; fail after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail(f"waited {timeout:.0f} s in vain for {what}")


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def processes_marked(mark: str) -> list[int]:
    """Return the ids of all live processes that carry ``mark`` in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in (folder / "environ").read_bytes() and alive(int(folder.name)):
                    found.append(int(folder.name))
    return found


class Router:
    """One running router.

    Args:
        config: The YAML file it serves.
        folder: Where its state goes.
        extra: More command-line arguments.
        python: The interpreter that it is installed for.
    """

    def __init__(
        self, config: Path, folder: Path, *extra: str, python: str = sys.executable
    ) -> None:
        self.port = free_port()
        self.mark = f"HOONIFY_TEST_MARK={folder.name}-{self.port}"
        name, _, value = self.mark.partition("=")
        self.state = folder / "state"
        environment = {**os.environ, name: value, "HOONIFY_STATE_DIR": str(self.state)}
        environment.pop("HOONIFY_CONFIG", None)
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [
                str(Path(python).with_name("hoonify-router")),
                "serve",
                *("--config", str(config), "--port", str(self.port), *extra),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def get(self, path: str, timeout: float = 10) -> tuple[int, Any]:
        """Return status and JSON of a plain GET with the router's first key."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if match := KEY.search(self.output):
            request.add_header("Authorization", f"Bearer {match.group()}")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def post(self, body: dict[str, Any], timeout: float = 30) -> Any:
        """Send a chat request without a key; return the open answer, to be read line by line."""
        request = urllib.request.Request(
            f"{self.base_url}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        return urllib.request.urlopen(request, timeout=timeout)

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until every always-on home answers, or has failed."""

        def ready() -> bool:
            if self.process.poll() is not None:
                pytest.fail(f"the router ended with {self.process.returncode}:\n{self.output}")
            with contextlib.suppress(OSError):
                # A gateway that is being started keeps who comes to it; the next one may meet another.
                return self.get("/ready", timeout=3)[0] == 200
            return False

        wait_until(ready, timeout, f"/ready; the router said:\n{self.output}")

    def key(self) -> str:
        """Return the first API key, as the banner shows it."""
        match = wait_until(lambda: KEY.search(self.output), 60, "the key in the banner")
        return str(match.group())

    def processes(self) -> list[int]:
        """Return the ids of all its live processes, whoever their parent is now."""
        return processes_marked(self.mark)

    def engines(self) -> list[int]:
        """Return the ids of its engine workers."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                if b"hoonify_router.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    def stop(self) -> int:
        """Press Ctrl-C: SIGINT to the foreground group, as a terminal sends it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(60)  # the router itself cuts after 35 s what does not leave

    def clean_up(self) -> None:
        """Leave nothing behind, whatever a test did: politely first, so that its folder goes too."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


StartRouter = Callable[..., Router]


@pytest.fixture
def start_router(tmp_path: Path) -> Iterator[StartRouter]:
    """Start routers that are gone after the test; each gets YAML text or a file."""
    started: list[Router] = []

    def start(config: str | Path, *extra: str, **more: Any) -> Router:
        if isinstance(config, str):
            path = tmp_path / "router.yaml"
            path.write_text(config)
            config = path
        router = Router(config, tmp_path, *extra, **more)
        started.append(router)
        return router

    yield start
    for router in started:
        router.clean_up()


@pytest.fixture(scope="package")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """The router as it comes out of the box, ready, for tests that leave it as it is."""
    router = Router(ROOT / "config" / "router.yaml", tmp_path_factory.mktemp("shipped"))
    try:
        router.wait_ready(120)
        router.key()
        yield router
    finally:
        router.clean_up()
