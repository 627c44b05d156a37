"""A router that may open only few files: it takes all that the system allows, and says what it cannot take."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Router, StartRouter, wait_until

pytestmark = pytest.mark.slow

CLIENTS = 100
BODY = json.dumps(
    {"model": "far", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
).encode()
REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
CHUNK = (
    b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'
)


class Engine:
    """A server whose streams say one word, and the rest when they are let go."""

    def __init__(self) -> None:
        self._door = socket.create_server(("127.0.0.1", 0), backlog=CLIENTS)
        self.port = self._door.getsockname()[1]
        self.go = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._door.accept()
                threading.Thread(target=self._speak, args=(connection,), daemon=True).start()

    def _speak(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if b"chat/completions" not in connection.recv(65536):
                connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                return
            connection.sendall(HEAD + CHUNK % (b'{"content":"word"}', b"null"))
            self.go.wait(120)
            connection.sendall(CHUNK % (b"{}", b'"stop"') + b"data: [DONE]\n\n")

    def close(self) -> None:
        """Take nobody any more."""
        self.go.set()
        self._door.close()


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Return a server that holds its streams."""
    engine = Engine()
    yield engine
    engine.close()


def limited(folder: Path, limits: str) -> str:
    """Return an interpreter beside which stands a ``hoonify-router`` that has set itself limits."""
    real = Path(sys.executable).with_name("hoonify-router")
    program = folder / "hoonify-router"
    program.write_text(f'#!{shutil.which("bash")}\n{limits} && exec "{real}" "$@"\n')
    program.chmod(0o755)
    return str(folder / "python")


def config(engine: Engine) -> str:
    """Return a router's configuration with the server as its one home."""
    home = {"provider": "Far", "context_length": 4096, "backend": "openai"}
    home["url"] = f"http://127.0.0.1:{engine.port}"
    return json.dumps(
        {
            "server": {"allow_anonymous": True},
            "pipeline": ["openai_errors"],
            "models": {"far": home},
        }
    )


def open_files(router: Router) -> list[tuple[int, int]]:
    """Return the soft and the hard limit of each of its processes."""
    limits = []
    for pid in router.processes():
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
                if line.startswith("Max open files"):
                    limits.append((int(line.split()[3]), int(line.split()[4])))
    return limits


def read_to(client: socket.socket, *ends: bytes) -> bytes:
    """Read until one of ``ends``, or until the connection is closed."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while not any(end in got for end in ends) and (more := client.recv(65536)):
            got += more
    return got


def test_a_gateway_takes_all_files_that_it_may_have(
    start_router: StartRouter, engine: Engine, tmp_path: Path
) -> None:
    """A soft limit is for old programs; other processes, engines among them, keep it."""
    python = limited(tmp_path, "ulimit -Sn 200 && ulimit -Hn 5000")
    router = start_router(config(engine), python=python)
    router.wait_ready()
    assert sorted(set(open_files(router))) == [(200, 5000), (5000, 5000)]
    assert "FEW FILES" not in router.output


def test_streams_that_find_no_room_are_refused_and_the_others_end_well(
    start_router: StartRouter, engine: Engine, tmp_path: Path
) -> None:
    """The home is not blamed: it answers again as soon as there is room."""
    router = start_router(config(engine), python=limited(tmp_path, "ulimit -n 128"))
    router.wait_ready()
    assert router.output.count("may have 128 files open, enough for about 40 streams") == 1
    with contextlib.ExitStack() as clients:
        talking, refused, shut = [], 0, 0
        for _ in range(CLIENTS):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", router.port), 60))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(REQUEST)
            seen = read_to(client, b"\n\n", b"}}")
            if seen.startswith(b"HTTP/1.1 200 "):
                talking.append(client)
                continue
            client.close()
            if not seen:
                shut += 1  # not even its connection found room
                continue
            assert seen.startswith(b"HTTP/1.1 503 "), seen
            assert b'"code":"router_full"' in seen
            assert b"retry-after: 1\r\n" in seen
            refused += 1
        assert len(talking) >= 30
        assert refused + shut == CLIENTS - len(talking)
        assert refused
        engine.go.set()
        for client in talking:
            assert read_to(client, b"[DONE]").count(b"[DONE]") == 1
    wait_until(lambda: answers(router), 60, "room for another stream")


def answers(router: Router) -> bool:
    """Tell whether a stream comes to its end."""
    with socket.create_connection(("127.0.0.1", router.port), 60) as client:
        client.sendall(REQUEST)
        return b"[DONE]" in read_to(client, b"0\r\n\r\n")
