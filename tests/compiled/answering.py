"""Answer generated requests with the full pipeline, and print what clients would have read.

    python -m tests.compiled.answering SEED REQUESTS

One build of the router runs here, whichever this interpreter imports; what it prints is compared with another's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import random
import sys
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop
from sanic import Sanic
from tests.router.doubles import Stage
from tests.router.routes.conftest import Door
from tests.router.routes.test_both_ways import answered, made_up, play

from hoonify_router import short_way
from hoonify_router.adapters.server import ServerAdapter
from hoonify_router.api import Middleware
from hoonify_router.catalog import Catalog
from hoonify_router.config.model import (
    Breaker,
    Config,
    LoadedConfig,
    ModelConfig,
    Pricing,
    ServerConfig,
)
from hoonify_router.gateway import Gateway
from hoonify_router.gateway_process import create_app
from hoonify_router.loader import build_pipeline, load_plugins, plugin_context
from hoonify_router.types import HomeView, RoutingTable

PLUGINS = ["api_keys", "rate_limits", "usage", "metrics", "openai_errors"]
KEY = b"authorization: Bearer right\r\n"
USAGE: dict[str, Any] = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


class Server:
    """An engine's own server, which answers each body in a way of its own, truly or not."""

    async def open(self) -> int:
        """Open it; return its port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Close it."""
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                chance = random.Random(zlib.crc32(body))
                kind = "text/event-stream" if json.loads(body).get("stream") else "application/json"
                said, whole = (
                    (self._events(chance), False) if "event" in kind else self._whole(chance)
                )
                status = chance.choice([200] * 8 + [400, 429, 500])
                head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n".encode()
                if whole:
                    writer.write(head + b"content-length: %d\r\n\r\n" % len(said) + said)
                else:
                    writer.write(head + b"transfer-encoding: chunked\r\n\r\n")
                    for start in range(0, len(said), 200):
                        piece = said[start : start + 200]
                        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                        await asyncio.sleep(0)
                    if chance.random() < 0.15:
                        break  # it dies before the end
                    writer.write(b"0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _whole(self, chance: random.Random) -> tuple[bytes, bool]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": chance.choice(["Hi", "é 😀", "", None]),
        }
        if chance.random() < 0.3:
            called = {"name": "look", "arguments": "{}"}
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": called}]
        choice = {
            "index": chance.choice([0] * 9 + [3]),
            "message": message,
            "finish_reason": chance.choice(["stop", "length", "tool_calls", "odd", None]),
        }
        answer = {
            "id": "theirs",
            "object": "chat.completion",
            "created": 1,
            "model": "theirs",
            "choices": [choice] * chance.choice([1, 1, 1, 0, 2]),
            "usage": chance.choice([USAGE, USAGE, None, {}]),
        }
        said = json.dumps(answer).encode()
        return chance.choice([said] * 8 + [b"{", b"[]", b'{"error": "odd"}']), chance.random() < 0.8

    def _events(self, chance: random.Random) -> bytes:
        def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
            told = {
                "id": "theirs",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "theirs",
                "choices": [choice],
                **more,
            }
            space = (",", ":") if chance.random() < 0.8 else None
            return b"data: %b\n\n" % json.dumps(told, separators=space).encode()

        said = [chunk({"role": "assistant", "content": ""})]
        for _ in range(chance.randrange(8)):
            word = chance.choice(["a", " é", ' "quoted"', "\n", "😀", " finish_reason"])
            said.append(chunk({"content": word}))
            if chance.random() < 0.1:
                said.append(chunk({"reasoning_content": word}))
            if chance.random() < 0.05:
                said.append(
                    chance.choice(
                        [
                            b": ping\n\n",
                            b"data: {\n\n",
                            b"event: x\ndata: {}\n\n",
                            b'data: {"error": {"message": "odd", "code": 500}}\n\n',
                        ]
                    )
                )
            if chance.random() < 0.1:
                function = {"name": "look", "arguments": "{"}
                call = {"index": 0, "id": "call_1", "type": "function", "function": function}
                said.append(chunk({"tool_calls": [call]}))
        if chance.random() < 0.9:
            said.append(chunk({}, chance.choice(["stop", "length", "tool_calls", "odd"])))
        if chance.random() < 0.8:
            said.append(b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n")
        if chance.random() < 0.9:
            said.append(b"data: [DONE]\n\n")
        return b"".join(said)


def settled(one: Middleware) -> Middleware:
    """Return middleware whose clock stands still, if it has one: what is left of a minute is no difference."""
    if one.name == "rate_limits":
        one._clock = lambda: 1e9  # type: ignore[attr-defined]
    return one


async def open_router(folder: Path, port: int) -> Door:
    """Return an open door, with a worker home that is played and a server home at ``port``."""
    home = {"provider": "Nobody", "context_length": 4096, "pricing": Pricing(1.0, 2.0)}
    more = {"breaker": Breaker(failures=10**6), "attempts": 1}
    models = {
        "parrot": ModelConfig(**home, **more, backend="echo"),  # type: ignore[arg-type]
        "mirror": ModelConfig(**home, **more, backend="openai", url="http://x"),  # type: ignore[arg-type]
    }
    sha256 = hashlib.sha256(b"right").hexdigest()
    plugins: dict[str, Any] = {
        "api_keys": {"keys": [{"name": "it", "sha256": sha256, "plan": "it"}]},
        "rate_limits": {"plans": {"it": {"requests_per_minute": 320, "tokens_per_minute": 10**6}}},
    }
    server = ServerConfig(max_body_bytes=4096)
    config = Config(models, server=server, pipeline=PLUGINS, plugins=plugins)
    loaded = LoadedConfig(folder / "router.yaml", config, folder)
    hooks = load_plugins(names_required=[*PLUGINS, "echo", "openai"])
    context = plugin_context(loaded, folder)
    made: Gateway
    context = dataclasses.replace(context, vitals=lambda: made.vitals())  # noqa: PLW0108 - made below
    for outcome in hooks.call("hoonify_startup", context=context):
        if outcome.error is not None:
            raise outcome.error
    middleware = [settled(one) for one in build_pipeline(hooks, loaded, context)]
    stage = Stage(play)
    adapters = {"worker": stage, "server": ServerAdapter()}
    made = Gateway(config, middleware, adapters, Catalog(config, {}))
    homes = [
        HomeView("parrot", "parrot", "echo", "worker", "ready", address="/x"),
        HomeView(
            "mirror", "mirror", "openai", "server", "ready", address=f"http://127.0.0.1:{port}"
        ),
    ]
    made.on_table(RoutingTable(1, tuple(homes)))
    await made.start()
    door = Door(create_app(made, "door", ()), made, stage)
    await door.open()
    return door


def good(chance: random.Random) -> bytes:
    """Return a request that nobody refuses; what comes of it is the engine's business."""
    said = " ".join(chance.choices(["hi", "long", "é", "😀", "a", "b"], k=chance.randrange(1, 6)))
    body: dict[str, Any] = {
        "model": chance.choice(["parrot", "mirror", "mirror"]),
        "messages": [{"role": "user", "content": said}],
        "stream": chance.random() < 0.6,
        "seed": chance.randrange(10**6),
    }
    if body["stream"] and chance.random() < 0.5:
        body["stream_options"] = {"include_usage": True}
    if chance.random() < 0.3:
        body["max_tokens"] = chance.randrange(1, 50)
    if chance.random() < 0.2:
        body["tools"] = [{"type": "function", "function": {"name": "look"}}]
    data = json.dumps(body).encode()
    head = b"host: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(data)
    return b"POST /v1/chat/completions HTTP/1.1\r\n" + KEY + head + b"\r\n" + data


def asked(chance: random.Random) -> bytes:
    """Return a generated request: most with a good key, half of them for the server's model."""
    if chance.random() < 0.7:
        return good(chance)
    data = made_up(chance)
    if b"uthorization:" not in data and chance.random() < 0.95:
        data = data.replace(b"\r\n", b"\r\n" + KEY, 1)
    if chance.random() < 0.6:
        data = data.replace(b'"parrot"', b'"mirror"')
    return data


async def answers(seed: int, requests: int) -> list[Any]:
    """Return what a client reads for each generated request."""
    server, chance = Server(), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="hoonify-answering-") as folder:
        door = await open_router(Path(folder), await server.open())
        read: list[Any] = []
        for _ in range(requests):
            status, headers, body, rest = await answered(door, asked(chance))
            read.append((status, sorted(headers.items()), body.decode(), rest.decode()))
        await door.close()
    server.close()
    return read


def main(words: Sequence[str]) -> None:
    """Run as a program."""
    Sanic.test_mode = True
    told = uvloop.run(answers(int(words[0]), int(words[1])))
    json.dump({"build": str(short_way.__file__), "answers": told}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
