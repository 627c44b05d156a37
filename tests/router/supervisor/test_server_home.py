"""Homes that are servers: probed, published, and never started."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint
from typing import Any

import msgspec
import pytest

from hoonify_router.api import ServerBackend
from hoonify_router.errors import InvalidRequest
from hoonify_router.loader import Plugins, load_plugins
from hoonify_router.supervisor import server_home
from hoonify_router.supervisor.lifecycle import Trouble
from hoonify_router.supervisor.probe import probe
from hoonify_router.supervisor.server_home import base_url

from .conftest import ECHO, GROUP


class ServerOptions(msgspec.Struct, forbid_unknown_fields=True):
    """The least."""

    model: str | None = None


@pytest.fixture
def plugins() -> Plugins:
    """Echo, and a server backend that asks for nothing."""
    found = load_plugins(entry_points=[ECHO, EntryPoint("gone", "no_such_module", GROUP)])
    server = ServerBackend("served", "A server.", ServerOptions)
    strict = ServerBackend("strict", "A server.", ServerOptions, lists_models=True)
    draining = dataclasses.replace(server, name="draining", ready_path="/ready")
    more = {"served": server, "strict": strict, "draining": draining}
    return Plugins({**found.backends, **more}, {}, found.manager, found.infos)


class FakeServer:
    """An HTTP server with one answer for everything."""

    def __init__(self) -> None:
        self.status: int | None = 200
        self.body = b""
        self.draining = False
        self.requests: list[str] = []
        self.url = ""
        self.server: asyncio.Server | None = None
        self.port = 0
        self.silent = False
        self._closing = asyncio.Event()
        self._talks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self.server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def close(self) -> None:
        assert self.server is not None
        self.server.close()
        self._closing.set()
        await asyncio.gather(*self._talks)
        await self.server.wait_closed()  # from Python 3.12 on it waits for the connections too

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        if self.silent:
            await self._closing.wait()
            writer.close()
            return
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if self.status is None:
            writer.write(b"SSH-2.0-OpenSSH\r\n")
        else:
            length = len(self.body)
            drains = self.draining and "GET /ready " in self.requests[-1]
            head = (
                f"HTTP/1.1 {503 if drains else self.status} X\r\nContent-Length: {length}\r\n\r\n"
            )
            writer.write(head.encode() + self.body)
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    await fake.open()
    yield fake
    await fake.close()


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_home, "_INTERVAL", 0.02)
    monkeypatch.setattr(server_home, "_SECOND_LOOK", 0.01)
    monkeypatch.setattr("hoonify_router.supervisor.lifecycle._LOOK_AGAIN", 0.05)


def yaml(url: str, more: str = "") -> str:
    return f"""
models:
  parrot:
    provider: Nobody
    context_length: 10
    backend: served
    url: {url}
{more}
"""


@pytest.mark.usefixtures("_quick")
async def test_a_server_that_answers_is_ready(supervise: Any, server: FakeServer) -> None:
    """With its base URL, key and the model's name there; nothing is started."""
    more = "    api_key: s3cret\n    options: {model: org/parrot-7b}"
    running = await supervise(yaml(server.url, more))
    home = await running.until_state("ready")
    assert (home.kind, home.address) == ("server", f"{server.url}/v1")
    assert (home.served_name, home.api_key) == ("org/parrot-7b", "s3cret")
    assert await running.engine() == 0
    assert server.requests[0].startswith("GET /v1/models HTTP/1.1\r\n")
    assert "authorization: Bearer s3cret\r\n" in server.requests[0]


@pytest.mark.usefixtures("_quick")
async def test_a_server_that_goes_away_is_failed_until_it_is_back(
    supervise: Any, server: FakeServer
) -> None:
    """Found out by looking again and again."""
    running = await supervise(yaml(server.url))
    home = await running.until_state("ready")
    assert home.served_name == "parrot"
    server.status = 503
    home = await running.until_state("failed")
    assert home.reason == "Its server is in trouble."
    assert home.retry_after is not None
    assert home.address == ""
    server.status = 200
    home = await running.until_state("ready")
    assert home.reason == ""


@pytest.mark.usefixtures("_quick")
async def test_one_bad_look_is_no_outage(supervise: Any, server: FakeServer) -> None:
    """The second look, at once, decides."""
    running = await supervise(yaml(server.url))
    await running.until_state("ready")
    looks = len(server.requests)
    server.status = 500
    while len(server.requests) <= looks:  # noqa: ASYNC110 - the fake server has no event
        await asyncio.sleep(0)
    server.status = 200
    while len(server.requests) <= looks + 3:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    assert "failed" not in running.states()


async def test_stopping_does_not_wait_for_a_silent_server(
    supervise: Any, server: FakeServer
) -> None:
    """A server that accepts and never answers holds nothing up."""
    server.silent = True
    running = await supervise(yaml(server.url))
    await running.until_state("starting")
    async with asyncio.timeout(15):
        await running.stop()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "refuses the router"),
        (403, "refuses the router"),
        (500, "in trouble"),
        (None, "cannot be reached"),
    ],
)
async def test_what_a_look_finds(server: FakeServer, status: int | None, reason: str) -> None:
    """Reasons are for clients: no address in them; the detail has it."""
    server.status = status
    with pytest.raises(Trouble) as caught:
        await probe(f"{server.url}/v1", None)
    assert reason in caught.value.reason
    assert "127.0.0.1" not in caught.value.reason
    assert "127.0.0.1" in caught.value.detail


@pytest.mark.parametrize("status", [200, 204, 301, 404, 405, 429])
async def test_any_answer_of_a_living_server_is_good(server: FakeServer, status: int) -> None:
    """Not every server lists its models."""
    server.status = status
    await probe(f"{server.url}/v1", None)


@pytest.mark.usefixtures("_quick")
async def test_a_server_that_drains_gets_no_more_requests(
    supervise: Any, server: FakeServer
) -> None:
    """It answers still, and says by itself that it should be left alone; one that cannot tell is believed."""
    server.draining = True
    await probe(f"{server.url}/v1", None)
    with pytest.raises(Trouble, match=r"takes no requests"):
        await probe(f"{server.url}/v1", None, ready_path="/ready")
    server.draining = False
    running = await supervise(yaml(server.url).replace("served", "draining"))
    await running.until_state("ready")
    server.draining = True
    home = await running.until_state("failed")
    assert home.reason == "Its server takes no requests."
    server.draining = False
    await running.until_state("ready")


async def test_nobody_there(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, unknown, silent or no URL at all."""
    monkeypatch.setattr("hoonify_router.supervisor.probe._TIMEOUT", 0.05)
    for url in ("http://127.0.0.1:1/v1", "http://no-such-host.invalid/v1", "nonsense"):
        with pytest.raises(Trouble):
            await probe(url, None)
    server.silent = True
    with pytest.raises(Trouble, match="does not answer"):
        await probe(f"{server.url}/v1", None)


@pytest.mark.parametrize(
    ("body", "lacks"),
    [
        (b'{"data": [{"id": "org/parrot-7b"}]}', ""),
        (b'{"data": [{"id": "org/parrot-7b"}, {"id": "other"}]}', ""),
        (
            b'{"data": [{"id": "Qwen/Qwen3"}, {"id": "b"}]}',
            "it serves Qwen/Qwen3, b, not org/parro",
        ),
        (b'{"data": []}', "it serves nothing, not org/parrot-7b"),
        (b"<html>", "the answer is no list of models"),
    ],
)
async def test_a_server_that_answers_to_any_name_must_list_the_model(
    server: FakeServer, body: bytes, lacks: str
) -> None:
    """Else another model would answer in its place; the operator reads what there is."""
    server.body = body
    for name in ("org/parrot-7b", "org/parrot-7b:adapter"):
        if lacks:
            with pytest.raises(Trouble, match="does not have the model") as caught:
                await probe(f"{server.url}/v1", None, name)
            assert lacks in caught.value.detail
        else:
            await probe(f"{server.url}/v1", None, name)


@pytest.mark.usefixtures("_quick")
async def test_a_home_without_its_model_has_failed(supervise: Any, server: FakeServer) -> None:
    """Until its server has it."""
    server.body = b'{"data": [{"id": "other"}]}'
    text = yaml(server.url, "    options: {model: org/parrot-7b}").replace("served", "strict")
    running = await supervise(text)
    home = await running.until_state("failed")
    assert home.reason == "Its server does not have the model."
    assert "it serves other" in home.detail
    server.body = b'{"data": [{"id": "org/parrot-7b"}]}'
    await running.until_state("ready")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://gpu-1:30000", "http://gpu-1:30000/v1"),
        ("http://gpu-1:30000/", "http://gpu-1:30000/v1"),
        ("https://example.com/v1/", "https://example.com/v1"),
        ("https://example.com/openai/deployments/x", "https://example.com/openai/deployments/x"),
    ],
)
def test_base_url(url: str, base: str) -> None:
    """A bare host gets OpenAI's usual path."""
    assert base_url(url) == base


async def test_a_server_that_is_not_ours_is_held_and_never_stopped(
    supervise: Any, server: FakeServer
) -> None:
    """We have not started it; who asks for a restart is told so."""
    running = await supervise(yaml(server.url))
    await running.until_state("ready")
    (told,) = await running.client.ask("stop", {"name": "parrot"})
    assert (told["state"], told["done"]) == ("draining", True)
    assert told["told"] == "Its server is not ours to stop; it gets no requests."
    with pytest.raises(InvalidRequest, match="not ours to restart"):
        await running.client.ask("restart", {"name": "parrot"})
    (told,) = await running.client.ask("start", {"name": "parrot"})
    assert (told["state"], told["done"]) == ("ready", True)
    assert (await running.client.ensure_ready("parrot")).state == "ready"


async def test_a_server_that_is_started_by_hand_is_looked_at_at_once(
    supervise: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the next look would have been away."""
    monkeypatch.setattr("hoonify_router.supervisor.lifecycle._LOOK_AGAIN", 3600.0)
    monkeypatch.setattr("hoonify_router.supervisor.lifecycle._LOOK_AGAIN_MAX", 3600.0)
    server.status = 500
    running = await supervise(yaml(server.url))
    await running.until_state("failed")
    (told,) = await running.client.ask("start", {"name": "parrot"})
    assert (told["state"], told["done"]) == ("failed", False)
    server.status = 200
    (told,) = await running.client.ask("start", {"name": "parrot"})
    assert (told["state"], told["done"]) == ("ready", True)
