"""The plugins of the cookbook, each installed as pip would and put to work."""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import importlib
import json
import os
import shutil
import stat
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.docs.pages import ROOT
from tests.router.doubles import Play, Stage, Wire, gateway, request

from hoonify_router.api import Candidate, HomeCall, RequestContext, ServerBackend
from hoonify_router.errors import (
    AuthenticationFailed,
    ContextLengthExceeded,
    MissingAPIKey,
    NotFound,
)
from hoonify_router.loader import Plugins, collect_commands, collect_routes, load_plugins
from hoonify_router.reply import Reply
from hoonify_router.testing.bench import Bench
from hoonify_router.testing.subject import make_subject
from hoonify_router.types import ChatRequest, Counted, Finish, HomeView, Message, Text

COOKBOOK = ROOT / "docs" / "cookbook"
EXAMPLES = sorted(path.parent.name for path in COOKBOOK.glob("*/pyproject.toml"))

Installed = tuple[ModuleType, Plugins]
Install = Callable[[str], Installed]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install one example; return its module and all plugins, this one among them."""
    loaded: list[str] = []

    def install(name: str) -> Installed:
        folder = tmp_path / "site"
        folder.mkdir()
        project = tomllib.loads((COOKBOOK / name / "pyproject.toml").read_text())["project"]
        [(entry, target)] = project["entry-points"]["hoonify_router"].items()
        module = target.partition(":")[0]
        shutil.copy(COOKBOOK / name / f"{module}.py", folder)
        info = folder / f"{project['name'].replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n"
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text(f"[hoonify_router]\n{entry} = {target}\n")
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        plugins = load_plugins()
        assert not plugins.failures
        loaded.append(module)
        return importlib.import_module(module), plugins

    yield install
    for module in loaded:
        sys.modules.pop(module, None)


def test_there_are_six() -> None:
    """And the page names each."""
    page = (COOKBOOK / "README.md").read_text()
    assert len(EXAMPLES) == 6
    assert all(f"({name}/hoonify_{name}.py)" in page for name in EXAMPLES)


async def ask(plugins: Plugins, name: str, settings: Any, body: Any, **headers: str) -> Any:
    """Send a request past one middleware; return what the client reads and what the home saw."""
    spec = plugins.middleware[name]
    seen: list[Any] = []

    def say(play: Play) -> None:
        seen.append(play.job.request)
        play.say("hello")

    door = gateway(Stage(say), [spec.build(spec.settings(**settings), None)])  # type: ignore[arg-type]
    wire, ctx = Wire(), request(body, **headers)
    await door.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    return wire, seen, ctx


# ---------------------------------------------------------------- a binary protocol


@contextlib.asynccontextmanager
async def tcp_engine(module: ModuleType) -> AsyncIterator[int]:
    """Run an engine that speaks the protocol: it says the last words of the prompt again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            _, size = module.HEAD.unpack(await reader.readexactly(5))
            words = (await reader.readexactly(size)).decode().split()
            if len(words) > 1000:
                writer.write(module.HEAD.pack(b"X", 0))
            else:
                for word in words[1:]:
                    data = f"{word} ".encode()
                    writer.write(module.HEAD.pack(b"T", len(data)) + data)
                counts = module.COUNTS.pack(len(words), len(words) - 1)
                writer.write(module.HEAD.pack(b"E", len(counts)) + counts)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_the_binary_protocol(install: Install) -> None:
    """Frames become events, and its refusal is an error with a name."""
    module, _ = install("binary_protocol")
    async with tcp_engine(module) as port:
        engine = module.TCPEngine()
        await engine.load(module.TCPOptions(port=port), lambda stage, done, total: None)
        short = ChatRequest("m", [Message("user", "hello Zoë")])
        events = [event async for event in engine.generate(short)]
        assert [type(event) for event in events] == [Text, Text, Finish, Counted]
        assert events[1] == Text("Zoë ")
        with pytest.raises(ContextLengthExceeded):
            async for _ in engine.generate(ChatRequest("m", [Message("user", "a " * 2000)])):
                pass


# ---------------------------------------------------------------- llama-server

FAKE = """#!{python}
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))

class Handler(BaseHTTPRequestHandler):
    def tell(self, body, status=200):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path == "/health":
            return self.tell({{"status": "ok"}})
        if self.headers["authorization"] != "Bearer " + os.environ["LLAMA_API_KEY"]:
            return self.tell({{"error": {{"message": "Invalid API Key"}}}}, 401)
        self.tell({{"object": "list", "data": [{{"id": given["--alias"], "object": "model"}}]}})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {{"role": "assistant", "content": "from " + asked["model"]}}
        choice = {{"index": 0, "message": message, "finish_reason": "stop"}}
        usage = {{"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
        about = {{"id": "x", "object": "chat.completion", "created": 1, "model": asked["model"]}}
        self.tell({{**about, "choices": [choice], "usage": usage}})

ThreadingHTTPServer(("127.0.0.1", int(given["--port"])), Handler).serve_forever()
"""


def test_llama_server_is_told_what_it_needs(install: Install, tmp_path: Path) -> None:
    """Its command line has the options; a missing program or file is told before anything starts."""
    module, plugins = install("llama_server")
    backend = plugins.backends["llama_server"]
    subject = make_subject(
        plugins, "llama_server", {"model": "m.gguf", "program": "no-such"}, base_dir=tmp_path
    )
    why = subject.why_unavailable()
    assert why is not None
    assert why.reason == "llama-server is not installed."
    assert isinstance(backend, ServerBackend)
    assert module.LOADED.search("llama_model_loader: loaded meta data")


async def launched(plugins: Plugins, folder: Path, **options: Any) -> str:
    """Let the router start a server; return what it answers."""
    bench = Bench(make_subject(plugins, "llama_server", options, base_dir=folder))
    try:
        return (await bench.ask("hello")).text
    finally:
        await bench.close()


@pytest.mark.slow
async def test_llama_server_is_launched(install: Install, tmp_path: Path) -> None:
    """The router starts it on a port and with a key of its own, and a chat goes through it."""
    _, plugins = install("llama_server")
    fake = tmp_path / "fake-llama-server"
    fake.write_text(FAKE.format(python=sys.executable))
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    said = await launched(plugins, tmp_path, model="m.gguf", program=str(fake))
    assert said == "from subject"


@pytest.mark.slow
async def test_the_real_llama_server_is_launched(install: Install, tmp_path: Path) -> None:
    """The same with llama.cpp's own, where it is installed and a model is named."""
    model = os.environ.get("HOONIFY_TEST_GGUF", "")
    if not model or shutil.which("llama-server") is None:
        pytest.skip("needs llama-server, and a GGUF model that HOONIFY_TEST_GGUF names")
    _, plugins = install("llama_server")
    assert await launched(plugins, tmp_path, model=model)


# ---------------------------------------------------------------- tokens

SECRET = "a-secret-that-is-long-enough-for-hs256"


def token(secret: str = SECRET, alg: str = "HS256", **claims: Any) -> str:
    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    told = {"sub": "ada", "exp": time.time() + 60, **claims}
    signed = f"{encode(json.dumps({'alg': alg}).encode())}.{encode(json.dumps(told).encode())}"
    return f"{signed}.{encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


async def test_a_signed_token_lets_pass(install: Install) -> None:
    """Its claims say who asks and what for."""
    _, plugins = install("jwt_auth")
    given = {"authorization": f"Bearer {token(plan='free', models=['parrot'])}"}
    wire, _, ctx = await ask(plugins, "jwt_auth", {"secret": SECRET}, None, **given)
    assert wire.status == 200
    assert (ctx.principal.id, ctx.principal.plan) == ("ada", "free")
    assert ctx.principal.models == ("parrot",)
    assert ctx.principal.scopes == {"inference"}


@pytest.mark.parametrize(
    "bad",
    [
        token(secret="another-secret-that-is-long-enough-too"),
        token(exp=1),
        token(nbf=time.time() + 600),
        token(alg="none"),
        token(sub=""),
        token(aud="someone else"),
        token(exp="soon"),
        "not.a.token",
        "a.b",
        "ä.ö.ü",
    ],
)
async def test_any_other_token_is_refused(bad: str, install: Install) -> None:
    """Forged, expired, for someone else, or none at all: never open."""
    module, _ = install("jwt_auth")
    middleware = module.JWTAuth(module.JWTSettings(secret=SECRET, audience="router"))
    ctx = request(None, authorization=f"Bearer {bad}")
    with pytest.raises(AuthenticationFailed) as caught:
        middleware.on_request(ctx)
    assert not isinstance(caught.value, MissingAPIKey)
    with pytest.raises(MissingAPIKey):
        middleware.on_request(request(None))


# ---------------------------------------------------------------- redaction


async def test_secrets_are_taken_out(install: Install) -> None:
    """The home reads the prompt without them, in strings and in parts."""
    _, plugins = install("redaction")
    text = "I am ada@example.com, card 4111 1111 1111 1111, born 1815."
    messages = [
        {"role": "user", "content": text},
        {"role": "user", "content": [{"type": "text", "text": text}]},
    ]
    wire, [seen], _ = await ask(plugins, "redaction", {}, {"messages": messages})
    assert wire.status == 200
    told = "I am [redacted], card [redacted], born 1815."
    assert seen.messages[0].content == told
    assert seen.messages[1].content[0].text == told


# ---------------------------------------------------------------- latency


def test_the_quickest_home_is_chosen(install: Install) -> None:
    """By what was measured, and by what waits there; one that is not known is tried."""
    module, plugins = install("latency_balancer")
    spec = plugins.balancers["latency"]
    balancer = spec.build(spec.settings(explore=0))
    observer = plugins.middleware["latency"].build(module.NoSettings(), None)  # type: ignore[arg-type]
    views = [HomeView(f"m/{place}", "m", "openai", "server", "ready") for place in range(2)]
    candidates = [Candidate(view) for view in views]
    ctx = RequestContext("r", "POST", "/", {}, "", 0.0)
    ctx.calls = [HomeCall(views[0], 10.0, 10.5, 11.0), HomeCall(views[1], 10.0, 10.1, 11.0)]
    observer.on_finally(ctx)
    assert balancer.choose(candidates, ctx) is candidates[1]
    candidates[1].in_flight = 9
    assert balancer.choose(candidates, ctx) is candidates[0]
    candidates.append(Candidate(HomeView("m/2", "m", "openai", "server", "ready")))
    assert balancer.choose(candidates, ctx) is candidates[2]


# ---------------------------------------------------------------- a route and a command


async def test_the_message_is_set_and_read(install: Install, tmp_path: Path) -> None:
    """By `hoonify-router motd` and at `GET /v1/motd`; without one it is 404."""
    _, plugins = install("motd")

    class Context:
        state_dir = tmp_path

    context: Any = Context()
    routes, _ = collect_routes(plugins, context)
    handler: Any = next(one.handler for one in routes if one.path == "/v1/motd")
    commands, _ = collect_commands(plugins, reserved=())
    command = commands["motd"][1]
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(NotFound):
        await handler(request(None), {})
    assert command.run(parser.parse_args(["Hello."]), context) == 0
    assert (await handler(request(None), {})).content == {"message": "Hello."}
    assert command.run(parser.parse_args(["x" * 501]), context) == 2
    assert command.run(parser.parse_args([""]), context) == 0
    with pytest.raises(NotFound):
        await handler(request(None), {})
