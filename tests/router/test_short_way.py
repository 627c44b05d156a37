"""Which requests go the short way: complete plain chats, and nothing else."""

from __future__ import annotations

import pytest

from hoonify_router.short_way import Memory, read_plain_chat

LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
PLAIN = LINE + b"Host: x\r\nContent-Type:  application/json\r\nContent-Length: 2\r\n\r\n{}"


def read(data: bytes) -> tuple[dict[str, str], bytes] | None:
    return read_plain_chat(data, 8192, 1000, Memory())


def test_a_plain_chat_is_read() -> None:
    """Names in lower case, values as Sanic hands them on."""
    headers = {"host": "x", "content-type": "application/json", "content-length": "2"}
    assert read(PLAIN) == (headers, b"{}")


def test_a_connection_may_say_that_it_stays() -> None:
    """As most clients do."""
    assert read(PLAIN.replace(b"Host: x", b"Connection: Keep-Alive")) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAIN[:-1],
        PLAIN + b"P",
        PLAIN + PLAIN,
        PLAIN[:20],
        PLAIN[:60],
        LINE + b"\r\n",
        PLAIN.replace(b"POST", b"GET"),
        PLAIN.replace(b"completions ", b"completions?x=1 "),
        PLAIN.replace(b"/chat/completions", b"/completions"),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"Host: x", b"Connection: close"),
        PLAIN.replace(b"Host: x", b"Connection: upgrade"),
        PLAIN.replace(b"Host: x", b"Upgrade: websocket"),
        PLAIN.replace(b"Host: x", b"Expect: 100-continue"),
        PLAIN.replace(b"Host: x", b"Transfer-Encoding: chunked"),
        PLAIN.replace(b"Host: x", b"Content-Length: 2"),
        PLAIN.replace(b"Host: x", b"host"),
        PLAIN.replace(b"Host: x", b"a: b\r\n folded"),
        PLAIN.replace(b"Host: x", b"na me: x"),
        PLAIN.replace(b"Host: x", b": x"),
        PLAIN.replace(b"Host: x", "Name: é".encode()),
        PLAIN.replace(b"Host: x", b"x: " + b"y" * 9000),
        PLAIN.replace(b"Length: 2", b"Length: +2"),
        PLAIN.replace(b"Length: 2", b"Length: 2, 2"),
        PLAIN.replace(b"Length: 2", b"Length: x"),
        PLAIN.replace(b"Content-Length: 2\r\n", b""),
        PLAIN.replace(b"Length: 2", b"Length: 1001").replace(b"{}", b" " * 1001),
    ],
)
def test_whatever_is_unusual_is_left_to_sanic(data: bytes) -> None:
    """Torn, pipelined, chunked, too large or odd."""
    assert read(data) is None


AGAIN = [
    PLAIN,
    PLAIN.replace(b"2\r\n\r\n{}", b"11\r\n\r\n" + b"x" * 11),
    PLAIN.replace(b"2\r\n\r\n{}", b"0\r\n\r\n"),
    PLAIN.replace(b"2\r\n\r\n{}", b"002\r\n\r\n{}"),
    PLAIN.replace(b"2\r\n\r\n{}", b"3\r\n\r\n{}"),
    PLAIN.replace(b"2\r\n\r\n{}", b"+2\r\n\r\n{}"),
    PLAIN.replace(b"2\r\n\r\n{}", b"\r\n\r\n{}"),
    PLAIN.replace(b"2\r\n\r\n{}", b"2\r\nX-More: 1\r\n\r\n{}"),
    PLAIN.replace(b"2\r\n\r\n{}", b"1001\r\n\r\n" + b" " * 1001),
    PLAIN.replace(b"Host: x", b"Host: y"),
    PLAIN.replace(b"Host: x", b"Expect: 100-continue"),
    PLAIN.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 2"),
    PLAIN + PLAIN,
    PLAIN[:-1],
    PLAIN[:30],
    b"",
]


@pytest.mark.parametrize("first", AGAIN)
@pytest.mark.parametrize("second", AGAIN)
def test_what_a_connection_sent_before_changes_nothing(first: bytes, second: bytes) -> None:
    """A head that is known from the last request is read as if it had come for the first time."""
    memory = Memory()
    read_plain_chat(first, 8192, 1000, memory)
    assert read_plain_chat(second, 8192, 1000, memory) == read(second)
