"""Failing over between real HTTP servers: what breaks, what is silent, and what the client reads in the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.router.doubles import Wire, request
from tests.router.reading import read_stream
from tests.router.scene import NoDice

from hoonify_router.adapters.server import ServerAdapter
from hoonify_router.api import RequestContext
from hoonify_router.catalog import Catalog
from hoonify_router.config.model import Breaker, Config, ModelConfig, Timeouts
from hoonify_router.gateway import Gateway
from hoonify_router.reply import Reply
from hoonify_router.types import HomeView, RoutingTable

from .conftest import Script, Session, Upstream

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "t",
        "choices": [choice],
    }
    return chunk(b"data: " + json.dumps(body).encode() + b"\n\n")


def whole(status: bytes, body: Any, head: bytes = b"") -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b" % (
        status,
        head,
        len(data),
        data,
    )


COMPLETION = {
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
    ]
}
ROLE = event({"role": "assistant", "content": ""})
GOOD_STREAM = (
    STREAM
    + ROLE
    + event({"content": "hello"})
    + event({}, "stop")
    + chunk(b"data: [DONE]\n\n")
    + b"0\r\n\r\n"
)
SSE_ERROR = chunk(b'data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n')


async def good(session: Session) -> None:
    """Answer each request in the form that it asks for."""
    while True:
        _, body = await session.request()
        if json.loads(body).get("stream"):
            await session.send(GOOD_STREAM)
        else:
            await session.send(whole(b"200 OK", COMPLETION))


def says(*pieces: bytes, then: str = "left") -> Script:
    """Return a server that sends this, whatever it is asked."""

    async def script(session: Session) -> None:
        await session.request()
        for piece in pieces:
            await session.send(piece)
        if then == "left":
            await session.left()
        else:
            getattr(session, then)()

    return script


class Scene:
    """A gateway before servers, each with a script."""

    def __init__(self) -> None:
        self.adapter = ServerAdapter()
        self.servers: list[Upstream] = []
        self.views: list[HomeView] = []
        self.fields: dict[str, Any] = {}
        self._gateway: Gateway | None = None

    async def serve(self, *scripts: Script) -> None:
        """Start a server per script."""
        for script in scripts:
            server = Upstream()
            server.script = script
            await server.start()
            self.servers.append(server)
            self.at(server.url)

    def at(self, url: str, model: str = "parrot") -> None:
        """Add a home."""
        name = f"{model}/{len(self.views)}"
        self.views.append(HomeView(name, model, "openai", "server", "ready", url))

    @property
    def gateway(self) -> Gateway:
        if self._gateway is None:
            entry = ModelConfig("Nobody", 4096, backend="openai", **self.fields)
            other = ModelConfig("Nobody", 4096, backend="openai")
            config = Config({"parrot": entry, "crow": other})
            self._gateway = Gateway(config, [], {"server": self.adapter}, Catalog(config, {}))
            self._gateway.on_table(RoutingTable(1, tuple(self.views)))
        return self._gateway

    async def ask_among_others(self, stream: bool) -> tuple[Wire, RequestContext]:
        """Send one request to its end."""
        wire, ctx = Wire(), request({"stream": stream})
        await self.gateway.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
        return wire, ctx

    async def ask(self, stream: bool) -> tuple[Wire, RequestContext]:
        """Send the only request."""
        wire, ctx = await self.ask_among_others(stream)
        places = self.gateway.catalog.resolve("parrot").places.values()
        assert sum(place.in_flight for place in places) == 0
        return wire, ctx

    async def close(self) -> None:
        await self.adapter.close()
        for server in self.servers:
            await server.stop()


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr("hoonify_router.serving.random", NoDice())
    made = Scene()
    yield made
    await made.close()


@pytest.fixture
def full_port() -> Iterator[int]:
    """Return a port where connections hang: its queue is full and nobody takes them out."""
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


def reads_hello(wire: Wire, stream: bool) -> bool:
    """Tell whether the client has read a whole and clean answer."""
    if stream:
        read = read_stream(wire.body, with_usage=False)
        return read.texts == {0: "hello"} and read.finishes == {0: "stop"} and read.error is None
    return bool(wire.json["choices"][0]["message"]["content"] == "hello")


BROKEN = {
    "reset": says(then="reset"),
    "closed": says(then="close"),
    "no-http": says(b"220 mail.example.com ESMTP\r\n\r\n"),
    "500": says(whole(b"500 Oops", {"error": "boom"})),
    "502": says(whole(b"502 Bad Gateway", {})),
    "503": says(whole(b"503 Unavailable", {})),
    "504": says(whole(b"504 Timeout", {})),
    "429": says(whole(b"429 Too Many", {}, b"retry-after: 7\r\n")),
    "401": says(whole(b"401 Unauthorized", {})),
    "half a head": says(b"HTTP/1.1 200 OK\r\n", then="reset"),
    "half a body": says(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", then="close"),
    "nonsense": says(whole(b"200 OK", {"choices": "none"})),
    "error in a 200": says(whole(b"200 OK", {"error": {"message": "dead", "code": 503}})),
}
BROKEN_STREAMS = {
    "error first": says(STREAM + SSE_ERROR),
    "error after the role": says(STREAM + ROLE + SSE_ERROR),
    "reset after the role": says(STREAM + ROLE, then="reset"),
    "empty stream": says(STREAM + b"0\r\n\r\n"),
    "done first": says(STREAM + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"),
    "comments, then an end": says(STREAM + chunk(b": ping\n\n"), then="close"),
}
SCRIPTS = [(name, script, False) for name, script in BROKEN.items()] + [
    (name, script, True) for name, script in (BROKEN | BROKEN_STREAMS).items()
]


@pytest.mark.parametrize(
    ("name", "script", "stream"), SCRIPTS, ids=[f"{one[0]}-{one[2]}" for one in SCRIPTS]
)
async def test_another_server_answers_when_one_fails(
    scene: Scene, name: str, script: Script, stream: bool
) -> None:
    """Whatever it does wrong before the first real event, the client reads one whole answer."""
    await scene.serve(script, good)
    wire, ctx = await scene.ask(stream)
    assert wire.status == 200
    assert reads_hello(wire, stream)
    assert (ctx.attempts, wire.headers["x-router-attempts"]) == (2, "2")
    failed = scene.gateway.catalog.resolve("parrot").places["parrot/0"].breaker._failures
    assert failed == (0 if name in ("429", "401") else 1)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_connection_is_no_end(
    scene: Scene, unused_tcp_port: int, stream: bool
) -> None:
    """Nobody listens there."""
    scene.at(f"http://127.0.0.1:{unused_tcp_port}/v1")
    await scene.serve(good)
    wire, _ = await scene.ask(stream)
    assert reads_hello(wire, stream)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_that_hangs_is_given_up(
    scene: Scene, full_port: int, stream: bool
) -> None:
    """After the model's own limit; alone, it is an error of its own."""
    scene.fields["timeouts"] = Timeouts(connect=0.05)  # type: ignore[arg-type]
    scene.at(f"http://127.0.0.1:{full_port}/v1")
    wire, _ = await scene.ask(stream)
    assert (wire.status, wire.json["error"]["code"]) == (504, "connect_timeout")
    scene._gateway = None
    await scene.serve(good)
    wire, _ = await scene.ask(stream)
    assert reads_hello(wire, stream)


async def test_a_silent_server_is_left_before_its_first_token(scene: Scene) -> None:
    """Pings and a role are no tokens; the server sees that nobody waits any more."""
    gone = asyncio.Event()

    async def silent(session: Session) -> None:
        await session.request()
        await session.send(STREAM + ROLE + chunk(b": ping\n\n"))
        await session.left()
        gone.set()

    scene.fields["timeouts"] = Timeouts(first_token=0.05)  # type: ignore[arg-type]
    await scene.serve(silent, good)
    wire, _ = await scene.ask(stream=True)
    assert reads_hello(wire, stream=True)
    await gone.wait()


async def test_a_server_that_stops_in_the_middle_ends_its_stream(scene: Scene) -> None:
    """With the error that says which clock it was; nobody else goes on in its place."""
    scene.fields["timeouts"] = Timeouts(idle=0.05)  # type: ignore[arg-type]
    await scene.serve(says(STREAM + ROLE + event({"content": "he"})), good)
    wire, ctx = await scene.ask(stream=True)
    read = read_stream(wire.body, with_usage=False)
    assert read.texts == {0: "he"}
    assert read.error is not None
    assert read.error["code"] == "idle_timeout"
    assert ctx.attempts == 1


async def test_a_whole_answer_has_only_a_total(scene: Scene) -> None:
    """Nobody can see it begin: a first token and silence are not waited for."""
    limits = Timeouts(first_token=0.01, idle=0.01, total=0.15)  # type: ignore[arg-type]
    scene.fields["timeouts"] = limits
    await scene.serve(says(), good)
    wire, ctx = await scene.ask(stream=False)
    assert (wire.status, wire.json["error"]["code"]) == (504, "total_timeout")
    assert ctx.attempts == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [b"400 Bad", b"422 Unprocessable", b"413 Too Large"])
async def test_a_clients_mistake_is_asked_of_one_server(
    scene: Scene, status: bytes, stream: bool
) -> None:
    """The other would say the same."""
    await scene.serve(says(whole(status, {"error": {"message": "no"}})), good)
    wire, ctx = await scene.ask(stream)
    assert 400 <= wire.status < 500
    assert ctx.attempts == 1
    assert scene.servers[1].connections == 0


async def test_an_error_after_the_first_token_is_the_end(scene: Scene) -> None:
    """What the client has read cannot be taken back."""
    await scene.serve(says(STREAM + ROLE + event({"content": "he"}) + SSE_ERROR), good)
    wire, ctx = await scene.ask(stream=True)
    read = read_stream(wire.body, with_usage=False)
    assert read.texts == {0: "he"}
    assert read.error is not None
    assert (ctx.attempts, scene.servers[1].connections) == (1, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fallback_is_asked_for_its_own_model(scene: Scene, stream: bool) -> None:
    """Under the name that its server knows; the client reads the name that it asked for."""
    asked: list[bytes] = []

    async def crow(session: Session) -> None:
        asked.append((await session.request())[1])
        await session.send(GOOD_STREAM if stream else whole(b"200 OK", COMPLETION))
        await session.left()

    scene.fields["fallback"] = ["crow"]
    await scene.serve(BROKEN["503"], crow)
    first, second = scene.views
    other = HomeView("crow", "crow", "openai", "server", "ready", second.address, "their/crow")
    scene.views = [first, other]
    wire, _ = await scene.ask(stream)
    assert reads_hello(wire, stream)
    assert json.loads(asked[0])["model"] == "their/crow"
    assert wire.headers["x-router-model"] == "crow"
    assert b'"parrot"' in wire.body
    assert b"crow" not in wire.body


async def test_a_server_that_was_down_is_probed_by_one_request(scene: Scene) -> None:
    """While it is down nobody waits for it; when it is back, it serves again."""
    scene.fields["breaker"] = Breaker(failures=2, cool_down=60)  # type: ignore[arg-type]
    requests = 0

    async def flaky(session: Session) -> None:
        nonlocal requests
        while True:
            await session.request()
            requests += 1
            if requests <= 2:
                session.reset()
                return
            await session.send(whole(b"200 OK", COMPLETION))

    await scene.serve(flaky, good)
    for _ in range(8):
        assert reads_hello((await scene.ask(stream=False))[0], stream=False)
    assert requests == 2
    breaker = scene.gateway.catalog.resolve("parrot").places["parrot/0"].breaker
    assert breaker.state == "open"
    breaker.retry_at = 0.0
    answers = await asyncio.gather(*(scene.ask_among_others(False) for _ in range(6)))
    assert all(reads_hello(wire, stream=False) for wire, _ in answers)
    assert requests == 3
    assert breaker.closed
