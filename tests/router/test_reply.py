"""Bytes of an answer: heads, chunks, and what happens when the client leaves or lags."""

from __future__ import annotations

import pytest
from tests.router.doubles import Wire

from hoonify_router.errors import (
    EngineDead,
    InvalidValue,
    ModelUnavailable,
    Overloaded,
    RouterError,
)
from hoonify_router.reply import Reply, error_headers


class Call:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def cancel(self) -> None:
        self.told.append("cancel")

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


def test_a_whole_answer_is_one_write() -> None:
    """Status, headers, length, body."""
    wire = Wire()
    Reply(wire, {"x-request-id": "r", "x-ä": "ü"}).send(422, b'{"a":1}')
    assert len(wire.writes) == 1
    assert wire.data == (
        b"HTTP/1.1 422 Unprocessable Entity\r\ncontent-type: application/json\r\n"
        b"content-length: 7\r\nx-request-id: r\r\nx-\xe4: \xfc\r\n\r\n"
        b'{"a":1}'
    )


def test_the_head_of_a_stream_goes_out_with_the_first_event() -> None:
    """In one write; the end is one write, too."""
    wire = Wire()
    reply = Reply(wire, {"x-request-id": "r"})
    assert not reply.opened
    reply.write(b"data: 1\n\n")
    assert reply.opened
    reply.write(b"data: 2\n\n")
    reply.end(b"data: [DONE]\n\n")
    assert len(wire.writes) == 3
    assert wire.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert wire.headers["transfer-encoding"] == "chunked"
    assert wire.data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert wire.body == b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"


def test_a_stream_of_one_write() -> None:
    """Head, everything, end."""
    wire = Wire()
    Reply(wire, {}).end(b"data: [DONE]\n\n")
    assert len(wire.writes) == 1
    assert wire.body == b"data: [DONE]\n\n"


def test_an_old_client_gets_its_stream_without_chunks() -> None:
    """Its end is the end of the connection."""
    wire = Wire()
    reply = Reply(wire, {}, chunked=False, keep_alive=True)
    reply.write(b"data: 1\n\n")
    reply.end(b"data: [DONE]\n\n")
    assert "transfer-encoding" not in wire.headers
    assert wire.headers["connection"] == "close"
    assert not reply.keep_alive
    assert wire.data.endswith(b"\r\n\r\ndata: 1\n\ndata: [DONE]\n\n")


def test_an_old_client_may_keep_its_connection_for_whole_answers() -> None:
    """If it asked to."""
    wire = Wire()
    Reply(wire, {}, chunked=False, keep_alive=True).send(200, b"{}")
    assert wire.headers["connection"] == "keep-alive"
    wire = Wire()
    Reply(wire, {}, keep_alive=False).send(200, b"{}")
    assert wire.headers["connection"] == "close"


def test_a_head_request_gets_no_body() -> None:
    """But its length."""
    wire = Wire()
    reply = Reply(wire, {})
    reply.head_only = True
    reply.send(200, b"{}")
    assert wire.headers["content-length"] == "2"
    assert wire.body == b""


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb", "a\0b"])
def test_no_header_breaks_the_head(value: str) -> None:
    """Whatever a plugin writes into one."""
    wire = Wire()
    Reply(wire, {"x-one": value, "x-two": "2"}).send(200, b"{}")
    head = wire.data.partition(b"\r\n\r\n")[0]
    assert head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r") == 4
    assert wire.headers["x-two"] == "2"


def test_a_client_that_has_left_is_not_written_to() -> None:
    """Neither answers nor streams."""
    wire = Wire()
    reply = Reply(wire, {})
    wire.closing = True
    reply.lost()
    reply.send(200, b"{}")
    reply.write(b"x")
    reply.end(b"x")
    reply.ping()
    assert wire.writes == []


def test_leaving_cancels_once() -> None:
    """The call first, then whoever watches."""
    call, told = Call(), []
    reply = Reply(Wire(), {})
    reply.watch(lambda: told.append("lost"))
    reply.serve(call)
    reply.lost()
    reply.lost()
    assert call.told == ["cancel"]
    assert told == ["lost"]


def test_a_call_that_begins_too_late_is_told_at_once() -> None:
    """The client left, or lags, while the call was made."""
    reply, call = Reply(Wire(), {}), Call()
    reply.pause()
    reply.serve(call)
    reply.resume()
    reply.lost()
    late = Call()
    reply.serve(late)
    assert call.told == ["pause", "resume", "cancel"]
    assert late.told == ["cancel"]


def test_after_the_release_nobody_is_told() -> None:
    """The home has said everything."""
    reply, call = Reply(Wire(), {}), Call()
    reply.watch(lambda: call.told.append("lost"))
    reply.serve(call)
    reply.release()
    reply.pause()
    reply.resume()
    reply.lost()
    assert call.told == []


def test_a_lagging_client_gets_no_pings() -> None:
    """Its buffer is full as it is."""
    wire = Wire()
    reply = Reply(wire, {})
    reply.pause()
    reply.ping()
    assert wire.writes == []
    reply.resume()
    reply.ping()
    assert wire.body == b": waiting\n\n"


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (InvalidValue("x"), {}),
        (RouterError("x"), {}),
        (Overloaded("x", retry_after=0.2), {"retry-after": "1"}),
        (Overloaded("x", retry_after=6.1), {"retry-after": "7"}),
        (EngineDead("x"), {"retry-after": "1"}),
        (Overloaded("x"), {"retry-after": "1"}),
        (
            ModelUnavailable("x", retry_after=3600),
            {"retry-after": "3600", "x-should-retry": "false"},
        ),
    ],
)
def test_clients_are_told_when_to_come_back(error: RouterError, headers: dict[str, str]) -> None:
    """And not to, where it is of no use."""
    assert error_headers(error) == headers
