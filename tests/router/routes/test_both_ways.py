"""The short way and Sanic's answer the same request in the same words."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import socket
from typing import Any

import pytest
from tests.router.doubles import Play, config, notes

from hoonify_router import connection
from hoonify_router.api import Phase, RequestContext
from hoonify_router.errors import AuthenticationFailed, Overloaded, RateLimited

from .conftest import Door, OpenDoor

IDS = re.compile(rb"(chatcmpl-|req_)[0-9a-f]+|\"created\":\d+")
LAST = b"GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: last\r\n\r\n"


def play(one: Play) -> None:
    """Answer as the last message says."""
    words = str(one.job.request.messages[-1].content).split()  # type: ignore[union-attr]
    if "busy" in words:
        raise Overloaded("Too much to do.", retry_after=7)
    one.say(*words, finish="length" if "long" in words else "stop")


def authenticate(ctx: RequestContext) -> None:
    """Refuse who is not known, tell whom one knows its limits."""
    key = ctx.headers.get("authorization", "")
    if key == "Bearer wrong":
        raise AuthenticationFailed("That is no key.")
    ctx.response_headers["x-ratelimit-limit-requests"] = str(len(key))


def admit(ctx: RequestContext) -> None:
    """Refuse who has asked enough."""
    if ctx.headers.get("x-enough"):
        raise RateLimited("Enough.", retry_after=3)


def seen(ctx: RequestContext) -> tuple[Any, ...]:
    """Return what middleware sees of a request, but for what is new in each."""
    headers = {name.lower(): value for name, value in ctx.headers.items()}
    return ctx.method, ctx.path, headers, ctx.remote, ctx.body, ctx.status, ctx.finish_reason


def made_up(chance: random.Random) -> bytes:
    """Return some request: most of them plain, many of them wrong in some way."""
    body: Any = {
        "model": chance.choice(["parrot"] * 8 + ["unknown", "", 7]),
        "messages": [
            {
                "role": chance.choice(["user"] * 9 + ["nobody"]),
                "content": chance.choice(["hi", "a b c", "long é 😀", "busy", "", "x" * 3000, 5]),
            }
        ],
    }
    for name, values in {
        "stream": [True, False, None, "yes"],
        "temperature": [0, 1.5, 9, "hot"],
        "max_tokens": [1, 5, 0, -1],
        "n": [1, 0],
        "stream_options": [{"include_usage": True}, {}],
        "unheard_of": [1],
    }.items():
        if chance.random() < 0.25:
            body[name] = chance.choice(values)
    data = json.dumps(body).encode()
    if chance.random() < 0.1:
        data = chance.choice([b"", b"{", b"[]", b"null", data[:-3], b"\xff" + data, data * 3])
    headers = {
        chance.choice(["Host", "host"]): "x",
        chance.choice(["Content-Type", "content-type"]): chance.choice(
            ["application/json"] * 8 + ["text/plain", "application/json; charset=utf-8", ""]
        ),
    }
    for name, values in {
        "Authorization": ["Bearer right", "Bearer wrong", "", "Bearer é"],
        "X-Request-Id": ["mine-1", "no good", "x" * 200],
        "X-Enough": ["1"],
        "Connection": ["keep-alive", "Keep-Alive", "close", "TE"],
        "Accept-Encoding": ["gzip, deflate, br"],
        "Content-Encoding": ["gzip"],
        "X-Odd": [" spaces ", "\t", "a:b: c", "x" * 9000],
        "Expect": ["miracles"],
    }.items():
        if chance.random() < 0.2:
            headers[name] = chance.choice(values)
    headers["Content-Length"] = str(len(data))
    lines = "".join(
        f"{name}:{chance.choice([' ', '', '  '])}{headers[name]}\r\n" for name in headers
    )
    return b"POST /v1/chat/completions HTTP/1.1\r\n" + lines.encode() + b"\r\n" + data


async def answered(door: Door, data: bytes) -> tuple[Any, ...]:
    """Return the answer to a request, and to one after it on the same connection."""
    line = await door.line()
    line.send(data)
    status, headers, body = await line.answer()
    rest = b""
    with contextlib.suppress(ConnectionError):
        line.send(LAST)
        rest = await line.reader.read()
    line.leave()
    return status, clean(headers), IDS.sub(b"", body), rest


def clean(headers: dict[str, str]) -> dict[str, str]:
    """Return headers without what is new in each answer."""
    return {name: IDS.sub(b"", value.encode()).decode() for name, value in headers.items()}


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 6))]
)
async def test_both_ways_answer_alike(
    open_up: OpenDoor, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Status, headers, body and whether the connection stays, over hundreds of made-up requests."""
    told: list[tuple[Any, ...]] = []
    short = 0
    read = connection.read_plain_chat

    def middleware() -> list[Any]:
        return [
            notes(Phase.AUTHENTICATE, "a", [], on_request=authenticate),
            notes(Phase.ADMIT, "b", [], on_request=admit),
            notes(Phase.OBSERVE, "o", [], on_finally=lambda ctx: told.append(seen(ctx))),
        ]

    def counted(*arguments: Any) -> Any:
        nonlocal short
        chat = read(*arguments)
        short += chat is not None
        return chat

    door = await open_up(play, middleware(), settings=config(max_body_bytes=4096))
    chance = random.Random(seed)
    for _ in range(300):
        data = made_up(chance)
        monkeypatch.setattr(connection, "read_plain_chat", counted)
        first, told_first = await answered(door, data), told[:]
        told.clear()
        monkeypatch.setattr(connection, "read_plain_chat", lambda *_: None)
        second, told_second = await answered(door, data), told[:]
        told.clear()
        assert first == second, data
        assert told_first == told_second, data
    assert short > 100


async def test_the_first_request_of_a_connection_goes_the_short_way_too(
    open_up: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there before Sanic has begun with the connection, as with a client that has just come."""
    ways: list[bool] = []
    read = connection.read_plain_chat

    def noted(*arguments: Any) -> Any:
        chat = read(*arguments)
        ways.append(chat is not None)
        return chat

    door = await open_up(play)
    monkeypatch.setattr(connection, "read_plain_chat", noted)
    body = json.dumps(
        {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    for number in range(5):
        with socket.create_connection(("127.0.0.1", door.port)) as client:
            for more in (1, 2):
                client.sendall(head.encode() + body)
                client.setblocking(False)
                answer = await asyncio.get_running_loop().sock_recv(client, 65536)
                client.setblocking(True)
                assert answer.startswith(b"HTTP/1.1 200 "), answer
                assert len(ways) == 2 * number + more
    assert all(ways)
