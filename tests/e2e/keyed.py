"""A router with the whole pipeline and a few keys, and plain HTTP with them."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

PIPELINE = "[api_keys, rate_limits, usage, metrics, openai_errors]"
MODELS = """
models:
  parrot: {provider: Nobody, context_length: 4096, backend: echo, pricing: {input: 1, output: 2}}
  gone: {provider: Nobody, context_length: 4096, backend: exllamav2, options: {model: nowhere}}
"""

LINES = 4
TIMES = 60

Seen = tuple[int, str, int]
"""Status, window and remainder of one answer."""


@cache
def key_of(name: str) -> str:
    """Return the key of this name, the same in all tests of this run."""
    from hoonify_plugins.api_keys.format import generate_key  # not for the processes that hammer

    return generate_key()


def declared(name: str, plan: str, **more: Any) -> dict[str, Any]:
    """Return what the YAML says of a key; JSON is YAML."""
    sha256 = hashlib.sha256(key_of(name).encode()).hexdigest()
    return {"name": name, "sha256": sha256, "plan": plan, **more}


def settings(*keys: dict[str, Any], limits: Mapping[str, Any], **stores: Any) -> str:
    """Return a configuration with these keys and limits."""
    plugins = {
        "api_keys": {"keys": list(keys), **stores},
        "rate_limits": dict(limits),
        "usage": dict(stores),
    }
    return f"pipeline: {PIPELINE}\nplugins: {json.dumps(plugins)}\n{MODELS}"


class Told(NamedTuple):
    """An answer.

    Args:
        status: Its status.
        headers: By lower-case names.
        body: All of it.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def left(self, what: str = "requests") -> int:
        """Return what the headers say is left."""
        return int(self.headers[f"x-ratelimit-remaining-{what}"])


class Line:
    """One connection to a router, with one key.

    Args:
        port: The router's.
        key: What it sends; ``None`` is none.
        address: Where it comes from: who sends wrong keys gets slower answers.
    """

    def __init__(self, port: int, key: str | None, address: str = "127.0.0.1") -> None:
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=30, source_address=(address, 0)
        )
        self.key = key

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        **headers: str,
    ) -> http.client.HTTPResponse:
        """Send a request and return its answer, not read yet."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} if data is not None else {}
        if self.key is not None:
            given["Authorization"] = f"Bearer {self.key}"
        self.connection.request(method, path, data, {**given, **headers})
        return self.connection.getresponse()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Told:
        """Send a request and read its whole answer."""
        with self.send(method, path, body, **headers) as answer:
            read = answer.read()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Told(answer.status, told, read)

    def chat(self, text: str = "hi", **fields: Any) -> Told:
        """Ask the parrot."""
        return self.ask("POST", "/v1/chat/completions", said(text, **fields))


def said(text: str, **fields: Any) -> dict[str, Any]:
    """Return a request for a chat."""
    messages = [{"role": "user", "content": text}]
    return {"model": "parrot", "messages": messages, "max_tokens": 50, **fields}


@contextmanager
def line(port: int, key: str | None, address: str = "127.0.0.1") -> Iterator[Line]:
    """Open a connection; it is closed at the end."""
    opened = Line(port, key, address)
    try:
        yield opened
    finally:
        opened.connection.close()


def hammer(ports: Sequence[int], key: str, seed: int, gate: Any) -> None:
    """Ask again and again over a few connections; tell what the answers said. Runs in a process of its own."""
    lines = [Line(ports[number % len(ports)], key) for number in range(LINES)]
    for one in lines:
        one.connection.connect()
    chance = random.Random(seed)
    gate.send(None)
    gate.recv()
    seen: list[Seen] = []
    for _ in range(TIMES):
        told = chance.choice(lines).chat("hi", stream=chance.random() < 0.3)
        seen.append((told.status, told.headers["x-ratelimit-reset-requests"], told.left()))
    for one in lines:
        one.connection.close()
    gate.send(seen)
