"""Answers of HTTP/1.1, cut anywhere, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoonify_router.adapters.http_reader import ProtocolError, ResponseReader

SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-LENGTH:  5 \r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n1;ext=1\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
)
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
HINTED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SIZED
WHOLE = [(SIZED, b"hello"), (CHUNKED, b"hello 0123456789"), (EMPTY, b""), (HINTED, b"hello")]


def read(reader: ResponseReader, pieces: list[bytes]) -> bytes:
    return b"".join([reader.feed(piece) for piece in pieces])


@pytest.mark.parametrize(("data", "body"), WHOLE)
def test_an_answer_may_be_cut_at_every_byte(data: bytes, body: bytes) -> None:
    """In two at any place, and in single bytes."""
    for place in range(len(data) + 1):
        reader = ResponseReader()
        assert read(reader, [data[:place], data[place:]]) == body
        assert reader.done
        assert reader.reusable
        assert reader.status in (200, 204)
    reader = ResponseReader()
    assert read(reader, [data[i : i + 1] for i in range(len(data))]) == body
    assert reader.done


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=8), st.data())
def test_any_chunked_body_is_read_however_it_is_cut(
    chunks: list[bytes], data: st.DataObject
) -> None:
    """What was sent is what is read, no byte more."""
    wire = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    wire += b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    reader = ResponseReader()
    assert read(reader, pieces) == b"".join(chunks)
    assert reader.done
    assert reader.reusable


def test_one_reader_reads_one_answer_after_the_other() -> None:
    """``start`` forgets everything of the last one."""
    reader = ResponseReader()
    for data, body in WHOLE:
        assert reader.feed(data) == body
        assert reader.done
        reader.start()
        assert reader.status == 0
        assert reader.headers == {}


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    """Which cannot be used again."""
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhel") == b"hel"
    assert reader.feed(b"lo") == b"lo"
    assert not reader.done
    reader.close()
    assert reader.done
    assert not reader.reusable


@pytest.mark.parametrize("data", [b"", SIZED[:-1], CHUNKED[:-2], CHUNKED[:70], b"HTTP/1.1 200"])
def test_a_connection_that_ends_too_early_is_told(data: bytes) -> None:
    """A short answer is no answer."""
    reader = ResponseReader()
    reader.feed(data)
    with pytest.raises(ProtocolError):
        reader.close()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
    ],
)
def test_some_connections_cannot_be_used_again(head: bytes) -> None:
    """Because the server says so, or because its two lengths make it suspect."""
    reader = ResponseReader()
    reader.feed(head + b"\r\n\r\n")
    assert not reader.reusable


def test_an_old_server_may_keep_its_connection() -> None:
    """If it says so."""
    reader = ResponseReader()
    reader.feed(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
    assert reader.done
    assert reader.reusable


@pytest.mark.parametrize("data", [SIZED + b"x", CHUNKED + b"HTTP/1.1 200 OK\r\n\r\n", EMPTY + b"!"])
def test_what_follows_an_answer_is_not_trusted(data: bytes) -> None:
    """Nobody asked for it: it could be meant as the next request's answer."""
    reader = ResponseReader()
    reader.feed(data)
    assert reader.done
    assert not reader.reusable


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5" * 5000,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000,
    ],
)
def test_what_is_no_http_is_refused(data: bytes) -> None:
    """Before any of it is passed on."""
    reader = ResponseReader()
    with pytest.raises(ProtocolError):
        assert b"hello" not in reader.feed(data)


def test_only_the_headers_that_matter_are_kept() -> None:
    """In lower case; the last of two counts."""
    reader = ResponseReader()
    reader.feed(
        b"HTTP/1.1 503 No\r\nRETRY-AFTER: 7\r\nServer: x\r\ncontent-type: a\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
    )
    assert reader.headers == {
        b"retry-after": b"7",
        b"content-type": b"text/plain",
        b"content-length": b"0",
    }


ANSWER = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\n{}"
AGAIN = [
    ANSWER,
    ANSWER.replace(b"2\r\nContent-Type", b"11\r\nContent-Type").replace(b"{}", b"x" * 11),
    ANSWER.replace(b"2\r\nContent-Type", b"0\r\nContent-Type").replace(b"{}", b""),
    ANSWER.replace(b"2\r\nContent-Type", b"5\r\nContent-Type"),
    ANSWER.replace(b"2\r\nContent-Type", b"1\r\nContent-Type"),
    ANSWER.replace(b"2\r\nContent-Type", b"2\r\nContent-Length: 2\r\nContent-Type"),
    ANSWER.replace(b"2\r\nContent-Type", b"3\r\nContent-Length: 2\r\nContent-Type"),
    ANSWER.replace(b"2\r\nContent-Type", b"x\r\nContent-Type"),
    ANSWER.replace(b"2\r\nContent-Type", b"\r\nContent-Type"),
    ANSWER.replace(b"2\r\nContent-Type", b"2\r\nConnection: close\r\nContent-Type"),
    ANSWER.replace(b"200 OK", b"503 Busy"),
    b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
]


def result(reader: ResponseReader, data: bytes) -> tuple[object, ...]:
    """Return what a reader makes of an answer."""
    reader.start()
    try:
        body = reader.feed(data)
    except ProtocolError as error:
        return (str(error),)
    return body, reader.status, reader.headers, reader.reusable, reader.done


@pytest.mark.parametrize("first", AGAIN)
@pytest.mark.parametrize("second", AGAIN)
def test_what_came_before_changes_nothing(first: bytes, second: bytes) -> None:
    """A head that is known from the last answer is read as if it had come for the first time."""
    reader = ResponseReader()
    result(reader, first)
    assert result(reader, second) == result(ResponseReader(), second)
