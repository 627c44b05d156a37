"""A server's stream from the socket's callback on: whatever goes the short way says what it would on the long one."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.router.reading import Sheet, read_stream

from hoonify_router.adapters.base import Job
from hoonify_router.adapters.server import Intake
from hoonify_router.adapters.sse import EventReader
from hoonify_router.adapters.upstream import Exchange, UpstreamConnection
from hoonify_router.chat_chunks import ChatChunks
from hoonify_router.errors import envelope
from hoonify_router.stream import EventStream, end_with_error
from hoonify_router.types import ChatRequest, HomeView, Message

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
HOME = HomeView(id="home", model="m", backend="openai", kind="server", state="ready")
REQUEST = ChatRequest(model="m", messages=[Message(role="user", content="Hi")], stream=True)
END = b"0\r\n\r\n"


class Deaf(asyncio.Transport):
    """A connection that takes everything."""

    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        pass

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass


class Keeper:
    """Keeps nothing."""

    def connect(self, exchange: Exchange) -> None:
        raise AssertionError("nobody connects here")

    def keep(self, connection: UpstreamConnection) -> None:
        pass

    def forget(self, connection: UpstreamConnection) -> None:
        pass


class Wire:
    """One stream from the bytes of a server's socket to the events of a client."""

    def __init__(self) -> None:
        self.sheet = Sheet()
        chunks = ChatChunks("chatcmpl-ours", 1, "catalog-id", False)
        self.stream = EventStream(self.sheet, chunks, 1, lambda: None)
        self.connection = UpstreamConnection(Keeper())
        self.connection.connection_made(Deaf())
        self.intake = Intake(self.stream, Job("req-1", REQUEST, None, HOME))
        self.exchange = Exchange(b"", self.intake)
        self.connection.send(self.exchange)

    def receive(self, *reads: bytes) -> Wire:
        for read in reads:
            if read:
                self.connection.data_received(read)
        return self

    def told(self) -> bytes:
        """Return all that the client reads; the connection has ended by now."""
        if not self.stream.ended:
            self.connection.connection_lost(None)
        if self.stream.error is None:
            self.stream.close()
        else:
            end_with_error(self.sheet, envelope(self.stream.error))
        return self.sheet.data


def event(text: str | None = None, raw: bytes | None = None, finish: bytes = b"null") -> bytes:
    inside = raw if raw is not None else json.dumps(text, ensure_ascii=False).encode()
    delta = b"" if text is None and raw is None else b'"content":' + inside
    return (
        b'data: {"id":"cmpl-theirs","object":"chat.completion.chunk","created":99,"model":"theirs",'
        b'"choices":[{"index":0,"delta":{%b},"logprobs":null,"finish_reason":%b}]}\n\n'
    ) % (delta, finish)


def chunk(data: bytes, size: bytes = b"%x") -> bytes:
    return (size % len(data)) + b"\r\n" + data + b"\r\n"


LAST = chunk(event(finish=b'"stop"')) + chunk(b"data: [DONE]\n\n") + END
FIRST = HEAD + chunk(event("Once")) + chunk(event(" upon"))
LONG = b"".join(
    [
        FIRST,
        chunk(event(" a time")),
        chunk(event('"quoted", \\ and\nbroken')),
        chunk(event("in all Ländern 🙂 \u200d \u00a0 \x7f")),
        chunk(event(raw=rb'"\u00e9 \/ \b\f\n\r\t"')),
        chunk(event("counted in capitals" * 40), b"%X"),
        chunk(event("counted with a zero"), b"0%x"),
        chunk(event("with more to say"), b"%x;more=1"),
        chunk(event(" two") + event(" at once")),
        chunk(b": a comment\n\n"),
        chunk(event("")),
        chunk(event(" half an")[:90]) + chunk(event(" half an")[90:]),
        chunk(event(" end.")),
        LAST,
    ]
)


def test_a_stream_may_be_cut_at_every_byte() -> None:
    """In two at any place, in three, and in single bytes: the client reads the same bytes."""
    whole = Wire().receive(LONG).told()
    assert read_stream(whole, False).finishes == {0: "stop"}
    assert whole == Wire().receive(*[LONG[at : at + 1] for at in range(len(LONG))]).told()
    for place in range(len(LONG)):
        assert whole == Wire().receive(LONG[:place], LONG[place:]).told()
        middle = len(FIRST) + place // 2
        if place > middle:
            pieces = (LONG[:middle], LONG[middle:place], LONG[place:])
            assert whole == Wire().receive(*pieces).told()


@given(st.lists(st.text(max_size=12), max_size=12), st.data())
def test_any_texts_arrive_however_they_are_sent(texts: list[str], data: st.DataObject) -> None:
    """Escaped or not, one or many to a chunk, however reads are cut."""
    wire = HEAD
    for text in texts:
        escapes = data.draw(st.booleans())
        inside = json.dumps(text, ensure_ascii=escapes).encode("utf-8", "surrogatepass")
        size = data.draw(st.sampled_from([b"%x", b"%X", b"00%x"]))
        wire += chunk(event(raw=inside), size)
    wire += LAST
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    read = read_stream(Wire().receive(*pieces).told(), False)
    assert read.error is None
    assert read.texts.get(0, "") == "".join(texts)


@pytest.mark.parametrize(
    "bad",
    [
        chunk(event("x"))[:-2] + b"xx",
        b"0x" + chunk(event("x")),
        b"+" + chunk(event("x")),
        b"1\r\n" + event("x") + b"\r\n",
        b"\n" + event("x") + b"\r\n",
        chunk(event("x"))[:-4],
        chunk(event(raw=b'"\xff"')),
        chunk(event(raw=b'"a\x01"')),
        chunk(event(raw=b'"a\\"')),
        chunk(event(raw=b'"\\x"')),
        chunk(event(raw=rb'"\ud800"')),
        chunk(event(raw=b'"a"}},{"index":1,"delta":{"content":"b"')),
        chunk(b'data: {"error":{"message":"no"}}\n\n'),
    ],
    ids=range(13),
)
def test_what_is_wrong_is_wrong_on_either_way(bad: bytes) -> None:
    """The same bytes end in the same error, in one read and in single bytes."""
    wire = FIRST + chunk(event(" a time")) + bad + LAST
    reads = [Wire().receive(FIRST, wire[len(FIRST) :]), Wire().receive(*[bytes([b]) for b in wire])]
    short, long = [read_stream(one.told(), False) for one in reads]
    assert short.error == long.error
    assert short.error is not None
    for one in (short, long):  # of a read that is no HTTP nothing needs to be taken
        assert one.texts[0].startswith("Once upon a time")


@pytest.mark.parametrize(
    "odd",
    [
        chunk(event(raw=b'"a","content":"b"')),
        b"fffff\r\n" + event("x") + b"\r\n",
        b"00000000000" + chunk(event("x")),
    ],
    ids=["a key twice", "a chunk that ends later", "a long size"],
)
def test_what_is_odd_is_the_same_on_either_way(odd: bytes) -> None:
    """It is read to the letter, in one read and in single bytes."""
    wire = FIRST + chunk(event(" a time")) + odd + LAST
    whole = Wire().receive(FIRST, wire[len(FIRST) :]).told()
    assert whole == Wire().receive(*[bytes([one]) for one in wire]).told()


def test_most_tokens_go_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the third on a read is neither cut into events nor decoded."""
    wire = Wire().receive(FIRST)
    monkeypatch.setattr(EventReader, "feed", lambda *_: pytest.fail("it went the long way"))
    wire.receive(chunk(event(" a")), chunk(event(" time")) + chunk(event(" in a\nland")))
    assert read_stream(wire.sheet.data + b"data: [DONE]\n\n", False).texts == {
        0: "Once upon a time in a\nland"
    }
    assert wire.stream.pieces == 5


def test_nothing_is_relayed_after_the_end() -> None:
    """An answer that has failed takes no more, and a connection that was given up is not looked at."""
    wire = Wire().receive(FIRST)
    wire.stream.abandon()
    before = wire.sheet.data
    wire.receive(chunk(event(" more")))
    assert wire.sheet.data == before
    wire.exchange.cancel()
    wire.receive(chunk(event(" still more")))
    assert wire.sheet.data == before
