"""A stop is heard whenever it comes, and once: while the router starts, and again while it drains."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
import threading
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.supervisor.client import SupervisorClient

from .conftest import alive, wait_until
from .test_processes import ECHO, lines_of, stream, words

pytestmark = pytest.mark.slow  # each starts a router or two

HOLDER = """
import os, pathlib, threading, time
from msgspec import Struct
from hoonify_router.api import Middleware, MiddlewareSpec, hookimpl

FOLDER = pathlib.Path(os.environ["HOLD_FOLDER"])
LATE = os.environ.get("SANIC_WORKER_NAME") == "Sanic-Server-1-0"


def hold(point):
    if LATE and os.environ["HOLD_AT"] == point:
        (FOLDER / "held").write_text(str(os.getpid()))
        while not (FOLDER / "go_on").exists():
            time.sleep(0.01)


class Settings(Struct, forbid_unknown_fields=True):
    pass


class Holder(Middleware):
    async def startup(self):
        # A thread that other plugins may well have: a signal to the process may choose it.
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        hold("startup")
        from sanic.server import runners

        set_up = runners._setup_system_signals

        def held(*arguments):
            set_up(*arguments)
            hold("signals")

        runners._setup_system_signals = held


def build(settings, context):
    hold("build")
    return Holder()


@hookimpl
def hoonify_register_middleware():
    return [MiddlewareSpec("holder", "Holds a start.", Settings, build)]
"""


@pytest.fixture
def holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Install a plugin that holds the second gateway's start at a point; return the folder of its signs."""

    def install(point: str) -> Path:
        site = tmp_path / "site"
        info = site / "holder-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: holder\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[hoonify_router]\nholder = holder_plugin\n")
        (site / "holder_plugin.py").write_text(HOLDER)
        monkeypatch.setenv("PYTHONPATH", str(site))
        monkeypatch.setenv("HOLD_FOLDER", str(tmp_path))
        monkeypatch.setenv("HOLD_AT", point)
        return tmp_path

    return install


def gateways(router: Any) -> list[int]:
    """Return the processes that Sanic calls servers."""
    found = []
    for pid in router.processes():
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        if b"SANIC_WORKER_NAME=Sanic-Server-" in environ:
            found.append(pid)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("point", ["build", "startup", "signals"])
def test_a_stop_that_meets_a_gateway_while_it_starts(
    start_router: Any, holder: Callable[[str], Path], point: str, number: signal.Signals
) -> None:
    """The first gateway serves, the second one is held at some point of its start: all are gone soon."""
    signs = holder(point)
    router = start_router(ECHO + "pipeline: [holder]\n", "--workers", "2")
    router.wait_ready()
    held = int(wait_until(lambda: _read(signs / "held"), 60, "the second gateway to be held"))
    (first,) = [pid for pid in gateways(router) if pid != held]
    began = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(router.process.pid, number)  # as a terminal does
    else:
        router.process.send_signal(number)
    wait_until(lambda: not alive(first), 60, "the first gateway to leave")
    (signs / "go_on").touch()
    assert router.process.wait(60) == 0, router.output
    assert time.monotonic() - began < 30  # what does not leave is cut after 35 s
    wait_until(lambda: not router.processes(), 60, "the last process to go")
    assert "Traceback" not in router.output


def test_sigterm_to_all_processes_lets_a_running_stream_finish(start_router: Any) -> None:
    """Service managers do it, and the main process passes it on: a gateway that drains hears it again."""
    router = start_router(ECHO, "--workers", "2")
    router.wait_ready()
    with stream(router, 100) as answer:
        lines = lines_of(answer)
        next(lines)
        both = gateways(router)
        os.killpg(router.process.pid, signal.SIGTERM)
        for _ in range(3):
            next(lines)
            for pid in both:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        seen = list(lines)
    assert seen[-1] == "data: [DONE]"
    assert any('"finish_reason":"stop"' in line for line in seen)
    assert router.process.wait(30) == 0


def test_a_second_ctrl_c_ends_streams_with_an_error(start_router: Any) -> None:
    """Who will not wait for them cuts them, but not without a word to their clients."""
    router = start_router(ECHO, "--workers", "2")
    router.wait_ready()
    with contextlib.ExitStack() as stack:
        streams = [lines_of(stack.enter_context(stream(router, 3000))) for _ in range(4)]
        seen = [[next(lines)] for lines in streams]
        router.process.send_signal(signal.SIGINT)
        wait_until(lambda: "Ctrl-C again" in router.output, 30, "word of the stop")
        for heard, lines in zip(seen, streams, strict=True):
            heard.append(next(lines))
        router.process.send_signal(signal.SIGINT)
        for heard, lines in zip(seen, streams, strict=True):
            heard += list(lines)
            assert heard[-1] == "data: [DONE]"
            assert '"error"' in heard[-2]
    assert router.process.wait(30) == 0
    wait_until(lambda: not router.processes(), 30, "the last process to go")


def test_what_a_killed_process_group_left_is_removed_by_the_next_start(
    start_router: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL of everything at once leaves nobody to clean up."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        router = start_router(ECHO)
        router.wait_ready()
        for pid in router.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        router.process.wait(30)
        wait_until(lambda: not router.processes(), 30, "the last process to go")
        (left,) = Path(folder).glob("hoonify_*")
        second = start_router(ECHO)
        second.wait_ready()
        assert not left.exists()
        assert len(list(Path(folder).glob("hoonify_*"))) == 1
        assert second.stop() == 0
        assert not list(Path(folder).glob("hoonify_*"))


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_router_that_stops_takes_nothing_new_and_is_not_ready(start_router: Any) -> None:
    """Load balancers look elsewhere, while the stream that is open goes on until nobody waits for it any more."""
    router = start_router(
        ECHO.replace("port: 8000", "port: 8000, drain_timeout: 2m"), "--workers", "2"
    )
    router.wait_ready()
    with stream(router, 3000) as answer:
        lines = lines_of(answer)
        next(lines)
        router.process.terminate()
        status, told = wait_until(
            lambda: (got := _get(router, "/ready")) and got[0] == 503 and got, 60, "/ready to fail"
        )
        assert (status, told["status"]) == (503, "stopping")
        told = wait_until(lambda: _refusal(router), 60, "a refusal")
        assert told == (503, "1", "The router is shutting down.")
        told = wait_until(lambda: _get(router, "/health"), 60, "/health")
        assert told == (200, {"status": "ok"})
        assert '"finish_reason":null' in next(lines)
        router.process.terminate()
        seen = list(lines)
    assert seen[-1] == "data: [DONE]"
    assert '"error"' in seen[-2]
    assert router.process.wait(60) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_takes_longer_than_the_drain_ends_with_an_error(
    start_router: Any, number: signal.Signals
) -> None:
    """Streams get an error event and [DONE], others a status; then all is gone, without a word of a bug."""
    config = ECHO.replace("port: 8000", "port: 8000, drain_timeout: 1.5s")
    router = start_router(config, "--workers", "2")
    router.wait_ready()
    outcome: list[Any] = []

    def wait_for_all() -> None:
        ask = {"model": "parrot", "messages": words(3000)}
        try:
            with router.post(ask, timeout=60) as answer:
                outcome.append(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                outcome.append((error.code, json.load(error)["error"]["code"]))

    waiting = threading.Thread(target=wait_for_all)
    with stream(router, 3000) as answer:
        lines = lines_of(answer)
        next(lines)
        waiting.start()
        next(lines)
        wait_until(lambda: _in_flight(router) == 2, 30, "both requests to be there")
        began = time.monotonic()
        os.killpg(router.process.pid, number)
        seen = list(lines)
    waiting.join(30)
    assert seen[-1] == "data: [DONE]"
    assert "error" in json.loads(seen[-2].removeprefix("data: "))
    assert not any('"finish_reason":"stop"' in line for line in seen)
    assert outcome == [(503, "model_unavailable")]
    assert time.monotonic() - began >= 1.0
    assert router.process.wait(30) == 0
    wait_until(lambda: not router.processes(), 60, "the last process to go")
    assert "Traceback" not in router.output


def _get(router: Any, path: str) -> Any:
    with contextlib.suppress(OSError):
        return router.get(path)
    return None


def _refusal(router: Any) -> Any:
    """Ask for something new; what waits at the door of a gateway that leaves in this moment is reset."""
    try:
        stream(router, 3).close()
    except urllib.error.HTTPError as error:
        with error:
            told = json.load(error)["error"]["message"]
            return error.code, error.headers["retry-after"], told
    except OSError:
        return None
    return None


def _in_flight(router: Any) -> int:
    """Return what the supervisor knows to be under way."""

    async def ask() -> Any:
        (note,) = router.state.glob("running-*.json")
        client = SupervisorClient(
            json.loads(note.read_text())["supervisor"], lambda table: None, role="cli"
        )
        try:
            await client.connect(0)
            return await client.ask("status")
        finally:
            client.close()

    return int(asyncio.run(ask())["in_flight"])
