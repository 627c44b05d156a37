"""A client that leaves frees its engine's slot, whatever its request was doing; a histogram tells how soon."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import ROOT, Router, wait_until

from hoonify_router.supervisor.client import SupervisorClient
from hoonify_router.types import Health

pytestmark = pytest.mark.slow  # two gateways, two engines, hundreds of departures

CONFIG = f"""
server: {{port: 8000, ping_interval: 0.02s}}
pipeline: [metrics]
models:
  echo:
    provider: Nobody
    context_length: 4096
    backend: echo
    options: {{slots: 1, token_delay: 0.02, context_length: 4096}}
  tiny-chat:
    provider: Hoonify
    context_length: 1024
    backend: onnxruntime
    options: {{model: {ROOT}/models/tiny-chat/onnx, provider: cpu, threads: 1, slots: 1, prefill_chunk: 16, reuse_prefixes: false}}
"""
MODELS = ("echo", "tiny-chat")
CLIENTS = 6
PROMISE = "0.1"


class Client:
    """One request on a connection of its own, which can be left at any time."""

    def __init__(
        self, router: Router, model: str, content: str, path: str = "chat/completions", **more: Any
    ) -> None:
        body: dict[str, Any] = {"model": model, "max_tokens": 900, **more}
        if path == "chat/completions":
            body["messages"] = [{"role": "user", "content": content}]
        else:
            body["prompt"] = content
        if model == "tiny-chat":
            body["ignore_eos"] = True
        data = json.dumps(body).encode()
        self.socket = socket.create_connection(("127.0.0.1", router.port), timeout=30)
        head = f"POST /v1/{path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        self.socket.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        self.file = self.socket.makefile("rb")

    def line(self, beginning: bytes) -> bytes:
        """Return the next line that begins like this."""
        for line in self.file:
            if line.startswith(beginning):
                return line
        raise AssertionError(f"the stream ended without {beginning!r}")

    def leave(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router with two gateways and models of one slot each."""
    folder = tmp_path_factory.mktemp("cancellation")
    (folder / "router.yaml").write_text(CONFIG)
    running = Router(folder / "router.yaml", folder, "--workers", "2")
    try:
        running.wait_ready(60)
        yield running
    finally:
        running.clean_up()


def released(router: Router, model: str, limit: str = "+Inf") -> int:
    """Return how many slots were free within so many seconds of their clients' disconnects, so far."""
    text = scrape(router)
    wanted = rf'^hoonify_cancel_seconds_bucket{{le="{re.escape(limit)}",model="{model}"}} (\S+)$'
    found = re.search(wanted, text, re.MULTILINE)
    return int(float(found[1])) if found else 0


def health(router: Router, model: str) -> Health:
    """Return what the supervisor heard last of the model's engine."""
    (note,) = Path(router.state).glob("running-*.json")

    async def ask() -> Health:
        client = SupervisorClient(
            json.loads(note.read_text())["supervisor"], lambda _: None, role="cli"
        )
        try:
            await client.connect(patience=5)
            status = await client.status()
            return next(one.health for one in status.homes if one.home.id == model)
        finally:
            client.close()

    return asyncio.run(ask())


def until_it_has(router: Router, model: str, running: int, queued: int) -> None:
    """Wait until the engine holds so many requests."""

    def holds() -> bool:
        now = health(router, model)
        return (now.running, now.queued) == (running, queued)

    wait_until(holds, 60, f"{model} to run {running} and queue {queued}")


@contextlib.contextmanager
def slots_come_back(router: Router, model: str, clients: int = CLIENTS) -> Iterator[None]:
    """Check that all who leave inside are measured, at least half of them within the promised time.

    And that the slot is really free: the engine serves the next one, and holds nothing afterwards.
    """
    before, soon = released(router, model), released(router, model, PROMISE)
    yield
    wait_until(lambda: released(router, model) == before + clients, 60, "every slot's release")
    assert released(router, model, PROMISE) - soon >= clients / 2
    client = Client(router, model, "hi", max_tokens=1)
    assert client.line(b"HTTP/1.1") == b"HTTP/1.1 200 OK\r\n"
    client.leave()
    until_it_has(router, model, 0, 0)


def under_way(router: Router, model: str) -> float:
    """Return how many requests for a model its gateways have."""
    wanted = rf'^hoonify_requests_in_flight{{.*model="{model}".*}} (\S+)$'
    return sum(map(float, re.findall(wanted, scrape(router), re.MULTILINE)))


def scrape(router: Router) -> str:
    """Return what one of the gateways tells of all."""
    with urllib.request.urlopen(f"http://127.0.0.1:{router.port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_any_gateway_tells_of_all_requests(router: Router) -> None:
    """Whichever took them; names that clients make up are no labels."""

    def requests() -> dict[str, float]:
        wanted = r'^hoonify_requests_total{.*model="([^"]*)",status="(?:200|404)"} (\S+)$'
        found = re.findall(wanted, scrape(router), re.MULTILINE)
        return {model: float(count) for model, count in found}

    before = requests().get("echo", 0)
    for number in range(10):
        for model in ("echo", f"made-up-{number}"):
            client = Client(router, model, "hi")
            assert client.line(b"HTTP/1.1")
            client.leave()
    for _ in range(10):
        told = requests()
        assert told["echo"] == before + 10
        assert told["other"] == 10
    assert "made-up" not in scrape(router)


@pytest.fixture
def endless(router: Router) -> Any:
    """Return a function that makes a request which goes on for seconds."""

    def make(model: str, content: str = "Tell me everything. ", **more: Any) -> Client:
        if model == "echo":
            content = f"{content}[[repeat 1000]]"
        return Client(router, model, content, **more)

    return make


@pytest.mark.parametrize("model", MODELS)
def test_in_the_queue(router: Router, endless: Any, model: str) -> None:
    """Five wait for the one that runs; those in the queue leave it before they ever had a slot."""
    with slots_come_back(router, model):
        first = endless(model, stream=True)
        first.line(b"data: ")
        waiting = [endless(model, stream=True) for _ in range(CLIENTS - 1)]
        for client in waiting:
            client.line(b":")  # a ping: it waits for its home
        for client in [*waiting, first]:
            client.leave()


@pytest.mark.parametrize("model", MODELS)
def test_before_the_first_token(router: Router, endless: Any, model: str) -> None:
    """While the prompt is read, or the engine thinks."""
    content = "[[first 60]] hi" if model == "echo" else "word " * 400
    with slots_come_back(router, model, clients=3):
        left = 0
        while left < 3:
            client = Client(router, model, content, stream=True, max_tokens=20)
            first = next(line for line in client.file if line.startswith((b":", b"data: ")))
            if first.startswith(b":"):  # else this one was too quick
                client.leave()
                left += 1
            else:
                assert b"[DONE]" in client.line(b"data: [DONE]")
                client.leave()


@pytest.mark.parametrize("model", MODELS)
def test_in_mid_stream(router: Router, endless: Any, model: str) -> None:
    """One after the other on the only slot."""
    with slots_come_back(router, model):
        for _ in range(CLIENTS):
            client = endless(model, stream=True)
            for _ in range(3):
                client.line(b"data: ")
            client.leave()


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
@pytest.mark.parametrize("model", MODELS)
def test_without_a_stream(router: Router, endless: Any, model: str, path: str) -> None:
    """Nothing is written before the end, and still the disconnect is noticed; running or queued."""
    with slots_come_back(router, model):
        clients = [endless(model, path=path) for _ in range(CLIENTS)]
        if model == "echo":
            until_it_has(router, model, 1, CLIENTS - 1)
        else:  # its answers take a second or two, as long as its engine needs to say what it does
            wait_until(lambda: under_way(router, model) == CLIENTS, 60, "all to be under way")
        for client in clients:
            client.leave()
