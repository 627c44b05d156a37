"""Processes come, die and go as design promises: nothing is cut silently, nothing stays behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Router, alive, wait_until

ECHO = """
server: {port: 8000}
models:
  parrot:
    provider: Nobody
    context_length: 4096
    backend: echo
    options: {token_delay: 0.02}
"""


def words(count: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": " ".join(f"w{i}" for i in range(count))}]


def stream(router: Any, count: int) -> Any:
    return router.post({"model": "parrot", "messages": words(count), "stream": True})


def lines_of(answer: Any) -> Iterator[str]:
    """Yield the lines of an event stream that say something."""
    return (line.decode().rstrip("\n") for line in answer if line.strip())


def ask(router: Any, count: int) -> str:
    """Return the answer to ``count`` words."""
    with router.post({"model": "parrot", "messages": words(count)}) as answer:
        return str(json.load(answer)["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router with two gateways and one engine, for tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "router.yaml").write_text(ECHO)
    router = Router(folder / "router.yaml", folder, "--workers", "2")
    try:
        router.wait_ready()
        yield router
    finally:
        router.clean_up()


def test_a_killed_engine_ends_its_streams_with_an_error_and_comes_back(start_router: Any) -> None:
    """SIGKILL of the worker in mid-stream: error event, [DONE], and the next request succeeds."""
    router = start_router(ECHO)
    router.wait_ready()
    (engine,) = router.engines()
    with stream(router, 500) as answer:
        lines = lines_of(answer)
        seen = [next(lines) for _ in range(5)]
        os.kill(engine, signal.SIGKILL)
        seen += list(lines)
    assert seen[-1] == "data: [DONE]"
    assert '"error"' in seen[-2]
    assert not any('"finish_reason":"stop"' in line for line in seen)
    wait_until(lambda: router.engines() not in ([], [engine]), 60, "a new engine")
    router.wait_ready()
    assert ask(router, 3) == "w0 w1 w2"


def test_ctrl_c_leaves_no_process(start_router: Any) -> None:
    """After Ctrl-C the exit status is 0 and every process of the router is gone."""
    router = start_router(ECHO, "--workers", "2")
    router.wait_ready()
    assert len(router.processes()) >= 4
    assert router.stop() == 0
    wait_until(lambda: not router.processes(), 60, "the last process to go")
    assert "Traceback" not in router.output


def test_sigterm_lets_a_running_stream_finish(start_router: Any) -> None:
    """A stream that runs when SIGTERM comes is finished, not cut."""
    router = start_router(ECHO)
    router.wait_ready()
    with stream(router, 60) as answer:
        lines = lines_of(answer)
        next(lines)
        router.process.terminate()
        seen = list(lines)
    assert seen[-1] == "data: [DONE]"
    assert any('"finish_reason":"stop"' in line for line in seen)
    assert router.process.wait(30) == 0
    wait_until(lambda: not router.processes(), 60, "the last process to go")


def test_sigkill_of_the_main_process_takes_the_rest_along(start_router: Any) -> None:
    """After SIGKILL of the main process its engines go by themselves; gateways follow."""
    router = start_router(ECHO, "--workers", "2")
    router.wait_ready()
    engines = router.engines()
    assert engines
    router.process.kill()
    router.process.wait(60)
    wait_until(lambda: not any(alive(pid) for pid in engines), 60, "the engine to go")
    wait_until(lambda: not router.processes(), 60, "gateways and supervisor to go")


def test_two_gateways_share_one_engine(pair: Router) -> None:
    """With --workers 2 there is one engine, and many connections are all answered."""
    assert len(pair.engines()) == 1
    for _ in range(20):
        assert ask(pair, 2) == "w0 w1"
    assert len(pair.engines()) == 1


_CONNECTED, _LISTENING = "01", "0A"  # in the kernel's table


def connected(pid: int, port: int, state: str = _CONNECTED) -> int:
    """Return how many connections a process has at a port, or other sockets there by their state."""
    ours = set()
    for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if int(fields[1].partition(":")[2], 16) == port and fields[3] == state:
            ours.add(f"socket:[{fields[9]}]")
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += os.readlink(link) in ours
    return count


def gateways_of(router: Any) -> list[int]:
    """Return the gateways, oldest first: the processes that hold a connection each, when there are some."""
    return [pid for pid in router.processes() if connected(pid, router.port)]


def wait_for_both(router: Any) -> list[int]:
    """Return both gateways; who is ready first is alone for a while, and takes all that comes."""
    with contextlib.ExitStack() as held:

        def find() -> list[int] | None:
            held.enter_context(socket.create_connection(("127.0.0.1", router.port)))
            found = gateways_of(router)
            return found if len(found) == 2 else None

        found: list[int] = wait_until(find, 60, "both")
        return found


def test_idle_gateways_share_what_comes_at_once(pair: Router) -> None:
    """Neither of two takes all of a hundred connections."""
    router = pair
    wait_for_both(router)
    with contextlib.ExitStack() as held:
        for _ in range(100):
            held.enter_context(socket.create_connection(("127.0.0.1", router.port)))
        wait_until(
            lambda: sum(connected(pid, router.port) for pid in gateways_of(router)) >= 100,
            60,
            "all to be taken",
        )
        shares = sorted(connected(pid, router.port) for pid in gateways_of(router))
        assert len(shares) == 2
        assert shares[0] > 10


def test_each_gateway_holds_its_own_door_only(pair: Router) -> None:
    """Or clients would wait at the door of one that has left, for as long as the other lives."""
    assert [connected(pid, pair.port, _LISTENING) for pid in wait_for_both(pair)] == [1, 1]


def test_who_comes_while_a_gateway_is_started_again_is_served(start_router: Any) -> None:
    """Its door stays open meanwhile: nobody is turned away."""
    router = start_router(ECHO, "--workers", "2")
    router.wait_ready()
    first = wait_for_both(router)[0]
    os.kill(first, signal.SIGKILL)
    for _ in range(20):
        assert ask(router, 2) == "w0 w1"


def test_a_client_that_leaves_frees_the_slot(start_router: Any) -> None:
    """With one slot, a request right after an abandoned stream is served at once."""
    router = start_router(ECHO.replace("token_delay: 0.02", "token_delay: 0.02, slots: 1"))
    router.wait_ready()
    with stream(router, 3000) as answer:
        next(lines_of(answer))
    started = time.monotonic()
    assert ask(router, 2) == "w0 w1"
    assert time.monotonic() - started < 40  # the stream would have taken a minute


def test_a_misspelt_key_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """The operator reads file, line and the likely key, and no traceback."""
    config = tmp_path / "router.yaml"
    config.write_text(ECHO.replace("provider:", "provder:"))
    for command in ("check", "serve"):
        done = subprocess.run(
            [sys.executable, "-m", "hoonify_router", command, "--config", str(config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        line = next(line for line in done.stderr.splitlines() if "provder" in line)
        assert "router.yaml:5: models.parrot.provder" in line
        assert "provider" in line.partition("provder")[2]
        assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_one_line_and_exit_2(pair: Router, tmp_path: Path) -> None:
    """Two routers on one port: the second one says so and leaves nothing."""
    (tmp_path / "router.yaml").write_text(ECHO)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hoonify_router", "serve"),
            *("--config", str(tmp_path / "router.yaml"), "--port", str(pair.port)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert str(pair.port) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_health_needs_no_key(shipped: Any, path: str) -> None:
    """Probes come without a key."""
    with urllib.request.urlopen(shipped.base_url.removesuffix("/v1") + path) as answer:
        assert answer.status == 200
