"""What servers tell and take beyond OpenAI's own: their load, and which request to give up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from hoonify_router.adapters import server_loads
from hoonify_router.adapters.base import Job
from hoonify_router.adapters.server import ServerAdapter
from hoonify_router.api import AbortSignal, LoadSignal, ServerBackend
from hoonify_router.completion import Completion
from hoonify_router.parsing import parse_chat
from hoonify_router.types import Health, HomeView

from .conftest import Session, Upstream


class NoOptions(msgspec.Struct):
    """None."""


class Nowhere:
    def send(self, status: int, body: bytes) -> None:
        pass


BACKEND = ServerBackend(
    "telling",
    "A server.",
    NoOptions,
    load=LoadSignal("/load", lambda body: msgspec.json.decode(body, type=Health)),
    abort=AbortSignal("/give_up", "rid"),
)


@pytest.fixture
async def adapter(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServerAdapter]:
    monkeypatch.setattr(server_loads, "INTERVAL", 0.01)
    adapter = ServerAdapter(backends={"telling": BACKEND})
    yield adapter
    await adapter.close()


def home(url: str, backend: str = "telling") -> HomeView:
    return HomeView("m", "m", backend, "server", "ready", url, api_key="k-1")


def reply(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_the_load_of_a_server_is_asked_for_as_long_as_it_is_in_the_table(
    adapter: ServerAdapter, upstream: Upstream
) -> None:
    """From the server's root, with its key; what is no answer any more is forgotten."""
    heads: list[bytes] = []
    told = [b'{"running": 3, "queued": 1}']

    async def script(session: Session) -> None:
        while True:
            head, _ = await session.request()
            heads.append(head)
            await session.send(reply(told[0]))

    upstream.script = script
    where = home(upstream.url)
    assert adapter.load(where) is None
    adapter.update([where])
    await until(lambda: adapter.load(where) == Health(running=3, queued=1))
    assert heads[0].startswith(b"GET /load HTTP/1.1\r\n")
    assert b"authorization: Bearer k-1\r\n" in heads[0]
    told[0] = b"nonsense"
    await until(lambda: adapter.load(where) is None)
    adapter.update([])
    asked = len(heads)
    await asyncio.sleep(0.1)
    assert len(heads) <= asked + 1


async def test_a_server_of_another_kind_is_not_asked(
    adapter: ServerAdapter, upstream: Upstream
) -> None:
    """Only a backend that says so has such a place."""

    async def script(session: Session) -> None:
        await session.request()
        raise AssertionError("it was asked")

    upstream.script = script
    adapter.update([home(upstream.url, "openai")])
    await asyncio.sleep(0.1)
    assert adapter.load(home(upstream.url, "openai")) is None


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_is_cancelled_is_given_up_by_name(
    upstream: Upstream, stream: bool
) -> None:
    """The server hears of it at once, and need not notice that a connection was closed."""
    aborts: list[tuple[bytes, dict[str, str]]] = []
    asked: list[dict[str, object]] = []

    async def script(session: Session) -> None:
        head, body = await session.request()
        if head.startswith(b"POST /give_up "):
            aborts.append((head, json.loads(body)))
            await session.send(reply(b"{}"))
        else:
            asked.append(json.loads(body))
        await session.left()

    upstream.script = script
    silent = ServerBackend("telling", "A server.", NoOptions, abort=BACKEND.abort)
    adapter = ServerAdapter(backends={"telling": silent})
    told = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    body = json.dumps(told).encode()
    task = Job("req-1", parse_chat(body), body, home(upstream.url))
    answer = Completion(Nowhere(), ("chatcmpl-1", 1, "m"), 1, lambda: None)
    call = await adapter.start(task, answer)
    await until(lambda: asked)
    call.cancel()
    call.cancel()
    await until(lambda: aborts)
    ((head, abort),) = aborts
    assert abort == {"rid": asked[0]["rid"]}
    assert len(str(abort["rid"])) == 32
    assert b"authorization: Bearer k-1\r\n" in head
    await adapter.close()


async def test_a_request_that_has_ended_is_not_given_up(upstream: Upstream) -> None:
    """Its name may mean nothing to the server by then."""
    heads: list[bytes] = []

    async def script(session: Session) -> None:
        while True:
            head, _ = await session.request()
            heads.append(head)
            await session.send(reply(b'{"choices": [{"message": {"content": "hi"}}]}'))

    upstream.script = script
    silent = ServerBackend("telling", "A server.", NoOptions, abort=BACKEND.abort)
    adapter = ServerAdapter(backends={"telling": silent})
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
    done = asyncio.Event()
    answer = Completion(Nowhere(), ("chatcmpl-1", 1, "m"), 1, done.set)
    task = Job("req-1", parse_chat(body), body, home(upstream.url))
    call = await adapter.start(task, answer)
    async with asyncio.timeout(30):
        await done.wait()
    call.cancel()
    await asyncio.sleep(0.05)
    assert len(heads) == 1
    await adapter.close()


async def test_what_a_server_takes_no_less_of_is_sent_as_its_least(upstream: Upstream) -> None:
    """OpenAI's range of `top_p` begins with 0, that of others just above."""
    asked: list[dict[str, object]] = []

    async def script(session: Session) -> None:
        while True:
            _, body = await session.request()
            asked.append(json.loads(body))
            await session.send(reply(b'{"choices": [{"message": {"content": "hi"}}]}'))

    upstream.script = script
    choosy = ServerBackend("telling", "A server.", NoOptions, floors={"top_p": 0.01})
    adapter = ServerAdapter(backends={"telling": choosy})
    for given in ({"top_p": 0}, {"top_p": 0.5}, {}):
        told = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **given}
        body = json.dumps(told).encode()
        done = asyncio.Event()
        answer = Completion(Nowhere(), ("chatcmpl-1", 1, "m"), 1, done.set)
        await adapter.start(Job("req-1", parse_chat(body), body, home(upstream.url)), answer)
        async with asyncio.timeout(30):
            await done.wait()
    assert [one.get("top_p") for one in asked] == [0.01, 0.5, None]
    await adapter.close()
