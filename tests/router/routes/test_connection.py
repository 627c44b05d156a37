"""Clients by hand: those that leave, lag, pipeline, speak old HTTP or none at all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.router.doubles import Play, Stage, config, notes
from tests.router.reading import read_stream

from hoonify_router import connection
from hoonify_router.api import Phase
from hoonify_router.errors import Cancelled

from .conftest import Door, OpenDoor


async def until(condition: Any) -> None:
    """Let the loop turn until something is so."""
    while not condition():  # noqa: ASYNC110 - what it waits for has no event
        await asyncio.sleep(0)


# ------------------------------------------------------------ leaving


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_before_the_first_word_frees_the_home(
    open_up: OpenDoor, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for a first token to notice, and nobody makes a fuss about it."""
    contexts: list[Any] = []
    door = await open_up(None, [notes(Phase.OBSERVE, "o", [], on_finally=contexts.append)])
    line = await door.line()
    line.post({"stream": stream})
    await door.stage.started.wait()
    line.leave()
    await until(lambda: door.stage.plays[0].cancelled and contexts)
    assert isinstance(contexts[0].error, Cancelled)
    await door.close()
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


async def test_a_client_that_leaves_in_mid_stream_frees_the_home(open_up: OpenDoor) -> None:
    """At once, not at the next write."""
    contexts: list[Any] = []
    door = await open_up(None, [notes(Phase.OBSERVE, "o", [], on_finally=contexts.append)])
    line = await door.line()
    line.post({"stream": True})
    await door.stage.started.wait()
    door.stage.plays[0].answer.text("Hel")
    await line.head()
    await line.chunk()
    line.leave()
    await until(lambda: door.stage.plays[0].cancelled and contexts)
    assert contexts[0].first_token_at is not None


async def test_a_client_that_leaves_in_the_queue_is_not_served(open_up: OpenDoor) -> None:
    """While a middleware makes it wait."""
    settled: list[Any] = []
    waiting, gate = asyncio.Event(), asyncio.Event()

    async def queue(ctx: Any) -> None:
        waiting.set()
        await gate.wait()

    door = await open_up(
        None, [notes(Phase.ADMIT, "q", [], on_request=queue, on_finally=settled.append)]
    )
    line = await door.line()
    line.post()
    await waiting.wait()
    line.leave()
    await until(lambda: settled)
    assert door.stage.plays == []


@pytest.mark.parametrize("size", [70_000, 300_000, 1_000_000])
async def test_a_client_with_a_large_body_is_heard_when_it_leaves(
    open_up: OpenDoor, size: int
) -> None:
    """A large body pauses reading; the door must read on, or it would not notice."""
    door = await open_up()
    line = await door.line()
    line.post({"stream": True, "messages": [{"role": "user", "content": "x" * size}]})
    await door.stage.started.wait()
    line.leave()
    await until(lambda: door.stage.plays[0].cancelled)


async def test_a_client_that_half_closes_has_left(open_up: OpenDoor) -> None:
    """It cannot be told from one that is gone."""
    door = await open_up()
    line = await door.line()
    line.post({"stream": True})
    await door.stage.started.wait()
    line.writer.write_eof()
    await until(lambda: door.stage.plays[0].cancelled)


async def test_clients_that_leave_at_random_leak_nothing(open_up: OpenDoor) -> None:
    """Two hundred of them: every request settles, every home is freed or has finished."""
    diary: list[str] = []

    async def script(play: Play) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.002, play.answer.text, "a")
        loop.call_later(0.004, play.say)

    door = await open_up(script, [notes(phase, phase.name, diary) for phase in Phase])
    loop = asyncio.get_running_loop()

    async def visit(number: int) -> None:
        line = await door.line()
        line.post({"stream": number % 2 == 0})
        left = loop.create_future()
        loop.call_later(number % 7 * 0.001, lambda: left.done() or left.set_result(None))
        await left
        line.leave()

    await asyncio.gather(*(visit(number) for number in range(200)))
    await until(lambda: not door.gateway.pipeline._departure.running)
    assert await door.gateway.pipeline.drain(5)
    for phase in Phase:
        assert diary.count(f"{phase.name} sees") == diary.count(f"{phase.name} settles")
    assert all(play.cancelled or play.answer.ended for play in door.stage.plays)


# ------------------------------------------------------------ lagging


async def test_a_client_that_does_not_read_makes_the_home_wait(open_up: OpenDoor) -> None:
    """Until it reads again; nothing is lost."""
    door = await open_up()
    line = await door.line()
    line.post({"stream": True})
    await door.stage.started.wait()
    play = door.stage.plays[0]
    line.reader._transport.pause_reading()  # type: ignore[attr-defined]
    text = "x" * 10_000
    said = 0
    while not play.paused:
        play.answer.text(text)
        said += 1
        await asyncio.sleep(0)
        assert said < 10_000
    line.reader._transport.resume_reading()  # type: ignore[attr-defined]
    reading = asyncio.ensure_future(line.answer())
    await until(lambda: not play.paused)
    play.say()
    _, _, body = await reading
    assert read_stream(body, with_usage=False).texts == {0: text * said}


# ------------------------------------------------------------ connections


async def test_one_connection_serves_many_requests(open_up: OpenDoor) -> None:
    """Streams and plain ones in turn."""
    door = await open_up(lambda play: play.say("a"))
    line = await door.line()
    for number in range(10):
        line.post({"stream": number % 2 == 0})
        status, headers, body = await line.answer()
        assert status == 200
        assert "connection" not in headers
        assert b'"a"' in body


async def test_pipelined_requests_are_answered_in_order(open_up: OpenDoor) -> None:
    """Old clients send the next before they have read the last."""
    door = await open_up(lambda play: play.say(str(play.job.request.max_tokens)))
    line = await door.line()
    for number in range(1, 6):
        line.post({"max_tokens": number, "stream": number % 2 == 0})
    for number in range(1, 6):
        assert f'"{number}"'.encode() in (await line.answer())[2]


async def test_a_long_stream_leaves_its_connection_usable(open_up: OpenDoor) -> None:
    """It was not idle, though nothing was received for longer than idle connections live."""
    door = await open_up(settings=config(ping_interval=0.05))
    door.app.config.KEEP_ALIVE_TIMEOUT = 0.1
    line = await door.line()
    line.post({"stream": True})
    await line.head()
    for _ in range(6):
        assert await line.chunk() == b": waiting\n\n"
    door.stage.plays[0].say("a")
    while await line.chunk():
        pass
    line.post({"stream": True})
    assert (await line.head())[0] == 200


async def test_head_role_and_first_text_arrive_together(open_up: OpenDoor) -> None:
    """In one packet: nobody waits for a second one to see the first word."""
    door = await open_up()
    line = await door.line()
    line.post({"stream": True})
    await door.stage.started.wait()
    door.stage.plays[0].answer.text("Hel")
    data = await line.reader.read(65536)
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"role":"assistant"' in data
    assert b'"content":"Hel"' in data


async def test_a_client_may_ask_to_close(open_up: OpenDoor) -> None:
    """After plain answers and streams."""
    door = await open_up(lambda play: play.say("a"))
    for stream in (False, True):
        line = await door.line()
        line.post({"stream": stream}, connection="close")
        _, headers, body = await line.answer()
        assert headers["connection"] == "close"
        assert b'"a"' in body
        assert await line.reader.read() == b""


@pytest.mark.parametrize("stream", [False, True])
async def test_an_http_1_0_client_is_answered(open_up: OpenDoor, stream: bool) -> None:
    """Without chunks, and the connection ends."""
    door = await open_up(lambda play: play.say("a"))
    told = {"model": "parrot", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    body = json.dumps(told).encode()
    head = "POST /v1/chat/completions HTTP/1.0\r\ncontent-type: application/json\r\n"
    line = await door.line()
    line.send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    status, headers, answer = await line.answer()
    assert status == 200
    assert "transfer-encoding" not in headers
    assert answer.endswith(b"data: [DONE]\n\n" if stream else b"}")
    assert await line.reader.read() == b""


async def test_a_chunked_body_is_read(open_up: OpenDoor) -> None:
    """Some clients do not know the length beforehand."""
    door = await open_up(lambda play: play.say("a"))
    body = b'{"model":"parrot","messages":[{"role":"user","content":"hi"}]}'
    line = await door.line()
    line.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    for place in range(0, len(body), 20):
        piece = body[place : place + 20]
        line.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    line.send(b"0\r\n\r\n")
    assert (await line.answer())[0] == 200


async def test_a_client_that_asks_before_it_sends_its_body(open_up: OpenDoor) -> None:
    """``Expect: 100-continue``, as curl does for large bodies."""
    door = await open_up(lambda play: play.say("a"))
    body = b'{"model":"parrot","messages":[{"role":"user","content":"hi"}]}'
    line = await door.line()
    line.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    assert (await line.head())[0] == 100
    line.send(body)
    assert (await line.answer())[0] == 200


@pytest.mark.parametrize(
    "beginning", [b"content-length: 99\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n9\r\n{"]
)
async def test_a_body_that_does_not_come_is_not_waited_for(
    open_up: OpenDoor, beginning: bytes
) -> None:
    """Nobody holds a connection and its memory for ever."""
    door = await open_up()
    door.app.config.REQUEST_TIMEOUT = 0.1
    line = await door.line()
    line.send(
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-type: application/json\r\n" + beginning
    )
    status, headers, body = await asyncio.wait_for(line.answer(), 10)
    assert status == 408
    assert json.loads(body)["error"]["code"] == "request_timeout"
    assert headers["connection"] == "close"
    assert await line.reader.read() == b""


# ------------------------------------------------------------ nonsense


POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
JSON = b"content-type: application/json\r\n"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"GET /nope HTTP/1.1\r\nhost: x\r\n\r\n", 404, "not_found"),
        (b"GET /v1/chat/completions HTTP/1.1\r\nhost: x\r\n\r\n", 405, "method_not_allowed"),
        (b"OPTIONS /v1/models HTTP/1.1\r\nhost: x\r\n\r\n", 405, "method_not_allowed"),
        (b"BREW /v1/models HTTP/1.1\r\nhost: x\r\n\r\n", 405, "method_not_allowed"),
        (POST + b"content-length: 2\r\n\r\n{}", 415, "unsupported_media_type"),
        (POST + JSON + b"content-length: 1\r\n\r\n{", 400, "invalid_json"),
        (POST + JSON + b"\r\n", 400, "invalid_json"),
        (POST + JSON + b"content-length: 9999\r\n\r\n" + b" " * 9999, 413, "payload_too_large"),
        (POST + JSON + b"content-length: x\r\n\r\n", 400, "invalid_request"),
        (POST + JSON + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400, "invalid_request"),
        (POST + b"expect: miracles\r\ncontent-length: 2\r\n\r\n{}", 417, "expectation_failed"),
        (POST + b"x: " + b"y" * 20000 + b"\r\n\r\n", 413, "payload_too_large"),
        (b"hello\r\n\r\n", 400, "invalid_request"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "invalid_request"),
    ],
)
async def test_every_refusal_has_the_same_shape(
    open_up: OpenDoor, data: bytes, status: int, code: str
) -> None:
    """Whoever refuses: the pipeline, the router or the parser."""
    door = await open_up(settings=config(max_body_bytes=4096))
    got, headers, body = await door.ask(data)
    assert got == status
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert error["type"] == "invalid_request_error"
    assert headers["x-request-id"]
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("kind", ["length", "chunked", "head"])
async def test_a_refusal_reaches_a_client_that_is_still_sending(
    open_up: OpenDoor, kind: str
) -> None:
    """It reads only after 20 MB, which nobody wants, have been sent."""
    door = await open_up(settings=config(max_body_bytes=4096))
    line = await door.line()
    if kind == "length":
        line.send(POST + JSON + b"content-length: 20000000\r\n\r\n")
    elif kind == "chunked":
        line.send(POST + JSON + b"transfer-encoding: chunked\r\n\r\n1312D00\r\n")
    else:
        line.send(POST + b"x: ")
    for _ in range(20):
        line.send(b" " * 1_000_000)
        await line.writer.drain()
        await asyncio.sleep(0)
    status, _, body = await line.answer()
    assert (status, json.loads(body)["error"]["code"]) == (413, "payload_too_large")
    assert await line.reader.read() == b""


async def test_a_client_that_never_stops_sending_is_left(
    open_up: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while its connection is closed all the same."""
    monkeypatch.setattr(connection, "LINGER", 0.2)
    door = await open_up(settings=config(max_body_bytes=4096))
    line = await door.line()
    line.send(POST + JSON + b"content-length: 20000000\r\n\r\n" + b" " * 9999)
    assert (await line.answer())[0] == 413

    async def send_on() -> None:
        while True:
            line.send(b" ")
            await line.writer.drain()
            await asyncio.sleep(0.01)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_on(), 30)


async def test_a_head_that_is_too_large_is_told_its_own_limit(open_up: OpenDoor) -> None:
    """Not that of bodies."""
    door = await open_up(settings=config(max_body_bytes=54321))
    _, _, body = await door.ask(POST + b"x: " + b"y" * 20000 + b"\r\n\r\n")
    message = json.loads(body)["error"]["message"]
    assert "headers" in message
    assert "8192" in message
    assert "54321" not in message


async def test_a_wrong_method_is_told_the_right_ones(open_up: OpenDoor) -> None:
    """In the Allow header."""
    door = await open_up()
    status, headers, _ = await door.get("/v1/models", method="DELETE")
    assert status == 405
    assert set(headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_a_sane_request_id_comes_back(open_up: OpenDoor) -> None:
    """On answers, errors and probes; an insane one is replaced."""
    door = await open_up()
    for path in ("/v1/models", "/v1/models/none", "/nope", "/health"):
        _, headers, _ = await door.get(path, x_request_id="my-id.7")
        assert headers["x-request-id"] == "my-id.7"
        _, headers, _ = await door.get(path, x_request_id="my id")
        assert headers["x-request-id"].startswith("req_")


@pytest.mark.pure
async def test_a_bug_in_a_route_tells_nothing(
    open_up: OpenDoor, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged under the request's id."""
    door: Door = await open_up(Stage())
    door.gateway.catalog.missing = lambda: 1 / 0  # type: ignore[method-assign,assign,return-value]
    status, headers, body = await door.get("/ready")
    assert status == 500
    assert body["error"]["code"] == "internal_error"
    assert "division" not in json.dumps(body)
    assert headers["x-request-id"] in caplog.text
    assert "ZeroDivisionError" in caplog.text
