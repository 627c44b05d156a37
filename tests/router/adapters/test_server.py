"""The server adapter, from a job to what a real HTTP server reads and says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.router.reading import Sheet, read_stream

from hoonify_router.adapters.base import Job
from hoonify_router.adapters.server import ServerAdapter
from hoonify_router.answer import Answer
from hoonify_router.chat_chunks import ChatChunks
from hoonify_router.completion import Completion
from hoonify_router.embeddings import Embeddings
from hoonify_router.errors import (
    ContextLengthExceeded,
    EngineDead,
    HomeMisconfigured,
    InvalidRequest,
    ModelUnavailable,
    Overloaded,
    RouterError,
)
from hoonify_router.parsing import parse_chat, parse_completion, parse_embedding
from hoonify_router.stream import EventStream
from hoonify_router.text_chunks import TextChunks
from hoonify_router.types import HomeView

from .conftest import Session, Upstream

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


class Mail:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, status: int, body: bytes) -> None:
        self.sent.append(body)


@pytest.fixture
async def adapter() -> AsyncIterator[ServerAdapter]:
    """Return an adapter that is closed after the test."""
    adapter = ServerAdapter()
    yield adapter
    await adapter.close()


def home(url: str, **more: Any) -> HomeView:
    given = {"served_name": "their/Model", "api_key": "k-1", **more}
    return HomeView("m", "m", "openai", "server", "ready", url, **given)


def job(where: HomeView, **fields: Any) -> Job:
    """Return a job as the pipeline makes it."""
    told = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    body = json.dumps(told).encode()
    return Job("req-1", parse_chat(body), body, where)


def answer_for(task: Job) -> tuple[Answer, asyncio.Event, Any]:
    """Return an answer of the form that the job asks for, its end, and where it goes."""
    done = asyncio.Event()
    if task.request.stream:
        sheet = Sheet()
        chunks = ChatChunks("chatcmpl-1", 1, "m", task.request.wants_usage)
        return EventStream(sheet, chunks, 1, done.set), done, sheet
    mail = Mail()
    return Completion(mail, ("chatcmpl-1", 1, "m"), 1, done.set), done, mail


async def ask(adapter: ServerAdapter, task: Job) -> tuple[Answer, Any]:
    """Run a job to its end."""
    answer, done, where = answer_for(task)
    await adapter.start(task, answer)
    await done.wait()
    return answer, where


def framed(*events: str) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(e.encode()), e.encode()) for e in events)


def event(delta: str, finish: str = "null") -> str:
    return (
        'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"their/Model",'
        f'"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}\n\n'
    )


async def test_a_job_is_one_request(upstream: Upstream, adapter: ServerAdapter) -> None:
    """With the home's key, its name for the model and the request's id."""
    seen = []

    async def script(session: Session) -> None:
        seen.append(await session.request())
        body = b'{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}]}'
        await session.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await session.left()

    upstream.script = script
    answer, mail = await ask(adapter, job(home(upstream.url), temperature=0.5))
    assert answer.error is None
    ((head, body),) = seen
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /v1/chat/completions http/1.1"
    assert f"host: {upstream.origin.authority}" in lines
    assert "authorization: bearer k-1" in lines
    assert "content-type: application/json" in lines
    assert "x-request-id: req-1" in lines
    assert json.loads(body) == {
        "model": "their/Model",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.5,
    }
    answer.close()
    assert json.loads(mail.sent[0])["choices"][0]["message"]["content"] == "yes"


async def test_headers_of_middleware_go_to_the_home(
    upstream: Upstream, adapter: ServerAdapter
) -> None:
    """Each is one line, whatever is in it."""
    heads = []

    async def script(session: Session) -> None:
        heads.append((await session.request())[0])
        body = b'{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}]}'
        await session.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await session.left()

    upstream.script = script
    task = job(home(upstream.url))
    task.headers = {"traceparent": "00-ab-cd-01", "tracestate": "a=b\r\nx-evil: 1"}
    answer, _ = await ask(adapter, task)
    assert answer.error is None
    lines = heads[0].decode().split("\r\n")
    assert "traceparent: 00-ab-cd-01" in lines
    assert "tracestate: a=bx-evil: 1" in lines


async def test_a_home_without_a_key_gets_none(upstream: Upstream, adapter: ServerAdapter) -> None:
    """The client's own key is never passed on."""
    heads = []

    async def script(session: Session) -> None:
        heads.append((await session.request())[0])
        await session.send(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
        await session.left()

    upstream.script = script
    await ask(adapter, job(home(upstream.url, api_key="")))
    assert b"authorization" not in heads[0].lower()


async def test_a_stream_is_passed_on_as_it_comes(
    upstream: Upstream, adapter: ServerAdapter
) -> None:
    """Every text before the next one is sent."""
    go = asyncio.Event()
    bodies = []

    async def script(session: Session) -> None:
        bodies.append(json.loads((await session.request())[1]))
        await session.send(STREAM_HEAD + framed(event('{"role":"assistant","content":"a"}')))
        await go.wait()
        await session.send(framed(event('{"content":"b"}'), event("{}", '"stop"')))
        await session.send(framed("data: [DONE]\n\n") + b"0\r\n\r\n")
        await session.left()

    upstream.script = script
    task = job(home(upstream.url), stream=True)
    answer, done, sheet = answer_for(task)
    await adapter.start(task, answer)
    while not sheet.writes:  # noqa: ASYNC110 - written by a callback
        await asyncio.sleep(0)
    assert b'"content":"a"' in sheet.data
    go.set()
    await done.wait()
    assert answer.error is None
    answer.close()
    assert read_stream(sheet.data, with_usage=False).texts == {0: "ab"}
    assert bodies[0]["stream_options"] == {"include_usage": True}


async def test_completions_and_embeddings_have_endpoints_of_their_own(
    upstream: Upstream, adapter: ServerAdapter
) -> None:
    """With the same key, name and questions about usage."""
    seen = []

    async def script(session: Session) -> None:
        while True:
            head, body = await session.request()
            seen.append((head.split()[1], json.loads(body)))
            if b"embeddings" in head:
                told = b'{"data":[{"embedding":[1,2]}],"usage":{"prompt_tokens":1}}'
                length = b"content-length: %d\r\n\r\n" % len(told)
                await session.send(b"HTTP/1.1 200 OK\r\n" + length + told)
            else:
                told = b'data: {"choices":[{"text":"a","finish_reason":"stop"}]}\n\n'
                await session.send(STREAM_HEAD + framed(told.decode()) + b"0\r\n\r\n")

    upstream.script = script
    body = b'{"model":"m","prompt":"x","stream":true}'
    task = Job("req-1", parse_completion(body), body, home(upstream.url))
    sheet, done = Sheet(), asyncio.Event()
    answer: Answer = EventStream(sheet, TextChunks("cmpl-1", 1, "m", False), 1, done.set)
    await adapter.start(task, answer)
    await done.wait()
    answer.close()
    assert read_stream(sheet.data, with_usage=False, kind="completion").texts == {0: "a"}
    body = b'{"model":"m","input":"x"}'
    request = parse_embedding(body)
    mail, done = Mail(), asyncio.Event()
    answer = Embeddings(mail, request, done.set)
    await adapter.start(Job("req-1", request, body, home(upstream.url)), answer)
    await done.wait()
    answer.close()
    assert json.loads(mail.sent[0])["data"][0]["embedding"] == [1, 2]
    asked = {"model": "their/Model", "prompt": "x", "stream": True}
    assert seen == [
        (b"/v1/completions", {**asked, "stream_options": {"include_usage": True}}),
        (b"/v1/embeddings", {"model": "their/Model", "input": "x"}),
    ]
    assert upstream.connections == 1


async def test_the_connection_is_kept_after_a_stream(
    upstream: Upstream, adapter: ServerAdapter
) -> None:
    """Ten streams, one connection."""

    async def script(session: Session) -> None:
        while True:
            await session.request()
            done = framed(event('{"content":"a"}', '"stop"'), "data: [DONE]\n\n")
            await session.send(STREAM_HEAD + done + b"0\r\n\r\n")

    upstream.script = script
    for _ in range(10):
        answer, _sheet = await ask(adapter, job(home(upstream.url), stream=True))
        assert answer.error is None
    assert upstream.connections == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        ((400, '{"message":"bad grammar"}'), InvalidRequest),
        ((400, '{"message":"longer than the model\'s context length"}'), ContextLengthExceeded),
        ((401, '{"error":"Unauthorized"}'), HomeMisconfigured),
        ((429, ""), Overloaded),
        ((500, "oops"), EngineDead),
    ],
)
async def test_a_refusal_is_an_error_before_anything_is_written(
    upstream: Upstream, adapter: ServerAdapter, stream: bool, refusal: tuple[int, str], kind: type
) -> None:
    """So that it can be a real status, or another home's turn."""
    status, told = refusal

    async def script(session: Session) -> None:
        await session.request()
        head = f"HTTP/1.1 {status} No\r\ncontent-length: {len(told)}\r\n\r\n"
        await session.send(head.encode() + told.encode())
        await session.left()

    upstream.script = script
    answer, where = await ask(adapter, job(home(upstream.url), stream=stream))
    assert type(answer.error) is kind
    assert not answer.begun
    assert (where.writes if stream else where.sent) == []


async def test_an_error_as_first_event_is_still_before_anything(
    upstream: Upstream, adapter: ServerAdapter
) -> None:
    """SGLang says 200 and then that its queue is full."""

    async def script(session: Session) -> None:
        await session.request()
        told = 'data: {"error":{"message":"The request queue is full.","code":503}}\n\n'
        await session.send(STREAM_HEAD + framed(told, "data: [DONE]\n\n") + b"0\r\n\r\n")
        await session.left()

    upstream.script = script
    answer, sheet = await ask(adapter, job(home(upstream.url), stream=True))
    assert isinstance(answer.error, Overloaded)
    assert sheet.writes == []


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("finished", [False, True])
async def test_a_server_that_dies_makes_no_clean_end(
    upstream: Upstream, adapter: ServerAdapter, how: str, finished: bool
) -> None:
    """Not even one that had finished: its usage and its end are missing."""
    read = asyncio.Event()

    async def script(session: Session) -> None:
        await session.request()
        events = [event('{"content":"a"}')] + ([event("{}", '"stop"')] if finished else [])
        await session.send(STREAM_HEAD + framed(*events))
        await read.wait()
        getattr(session, how)()

    upstream.script = script
    task = job(home(upstream.url), stream=True)
    answer, done, sheet = answer_for(task)
    await adapter.start(task, answer)
    while not sheet.writes:  # noqa: ASYNC110 - written by a callback
        await asyncio.sleep(0)
    read.set()
    await done.wait()
    assert isinstance(answer.error, EngineDead)
    assert answer.begun


async def test_a_plain_answer_that_breaks_off_is_an_error(
    upstream: Upstream, adapter: ServerAdapter
) -> None:
    """Half a JSON is none."""

    async def script(session: Session) -> None:
        await session.request()
        await session.send(b'HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"choices":[')
        session.close()

    upstream.script = script
    assert isinstance((await ask(adapter, job(home(upstream.url))))[0].error, EngineDead)


async def test_a_server_that_does_not_stream_is_an_error(
    upstream: Upstream, adapter: ServerAdapter
) -> None:
    """A stream was asked for; an error told with status 200 is understood all the same."""
    told = b'{"choices":[]}'

    async def script(session: Session) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        while True:
            await session.request()
            await session.send(head % len(told) + told)

    upstream.script = script
    answer, _ = await ask(adapter, job(home(upstream.url), stream=True))
    assert isinstance(answer.error, EngineDead)
    told = b'{"error":{"message":"queue full","code":429}}'
    answer, _ = await ask(adapter, job(home(upstream.url), stream=True))
    assert isinstance(answer.error, Overloaded)


async def test_an_endless_answer_does_not_fill_the_memory(
    upstream: Upstream, adapter: ServerAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no answer."""
    monkeypatch.setattr("hoonify_router.adapters.server.MAX_ANSWER_BYTES", 1000)

    async def script(session: Session) -> None:
        await session.request()
        await session.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + b" " * 5000)
        await session.left()

    upstream.script = script
    assert isinstance((await ask(adapter, job(home(upstream.url))))[0].error, EngineDead)


async def test_nobody_there_is_told_without_an_address(
    adapter: ServerAdapter, unused_tcp_port: int
) -> None:
    """Clients need not know where homes are."""
    task = job(home(f"http://127.0.0.1:{unused_tcp_port}/v1"))
    answer, _ = await ask(adapter, task)
    assert isinstance(answer.error, ModelUnavailable)
    assert "127.0.0.1" not in answer.error.message


async def test_an_address_that_is_none(adapter: ServerAdapter) -> None:
    """A mistake in the table is no bug in the door."""
    task = job(home("nonsense"))
    answer, _, _ = answer_for(task)
    with pytest.raises(RouterError):
        await adapter.start(task, answer)


async def test_a_cancelled_call_hangs_up(upstream: Upstream, adapter: ServerAdapter) -> None:
    """Which is how such a server learns that nobody listens."""
    gone = asyncio.Event()
    asked = asyncio.Event()

    async def script(session: Session) -> None:
        await session.request()
        asked.set()
        await session.left()
        gone.set()

    upstream.script = script
    task = job(home(upstream.url), stream=True)
    answer, _, _ = answer_for(task)
    call = await adapter.start(task, answer)
    await asked.wait()
    call.cancel()
    await gone.wait()
    assert not answer.ended


async def test_homes_that_are_gone_are_forgotten(
    upstream: Upstream, adapter: ServerAdapter
) -> None:
    """Their connections are closed when they are free."""
    gone = asyncio.Event()

    async def script(session: Session) -> None:
        await session.request()
        body = b'{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}]}'
        await session.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await session.left()
        gone.set()

    upstream.script = script
    where = home(upstream.url)
    adapter.update([where])
    await ask(adapter, job(where))
    adapter.update([where])
    assert not gone.is_set()
    adapter.update([])
    await gone.wait()
