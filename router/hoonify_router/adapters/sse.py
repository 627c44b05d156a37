"""A server home's stream of events, passed on with the least work that the truth allows.

Most chunks need not be decoded (see ``moulds``). Every other event is decoded and told to the answer,
which checks it (see ``dialects``).
"""

from __future__ import annotations

from hoonify_router.adapters.dialects import BROKEN, Dialect
from hoonify_router.adapters.moulds import Mould, is_inside, learn
from hoonify_router.chunked import LINES_BY_LENGTH, SMALL
from hoonify_router.errors import BrokenAnswer
from hoonify_router.stream import EventStream

MAX_EVENT_BYTES = 16 * 1024 * 1024

_MOULDS = 6  # how often a stream may teach us; most need two
_QUOTE, _BACKSLASH = b'"\\'
_LINE_END = 10
_SIZE_BYTES = 10  # of a chunk, its line end included


class EventReader:
    """Cuts a stream into events and pours them into an answer.

    Args:
        answer: Where they go.
        dialect: Understands what they say; for this stream alone.
    """

    __slots__ = ("_answer", "_dialect", "_mould", "_ready", "_rest", "_to_learn")

    def __init__(self, answer: EventStream, dialect: Dialect) -> None:
        self._answer = answer
        self._dialect = dialect
        self._mould: Mould | None = None
        self._ready: Mould | None = None  # the mould, as long as nothing is left of a half event
        self._to_learn = _MOULDS if answer.choices == 1 else 0
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take received bytes; they may be cut anywhere."""
        if self._answer.ended:
            return
        if b"\r" in data or self._rest.endswith(b"\r"):
            data = self._with_plain_lines(data)
        if self._rest:
            data = self._rest + data
        *events, self._rest = data.split(b"\n\n")
        self._answer.cork()
        texts: list[bytes] = []
        mould = self._mould
        for event in events:
            text = mould.text_of(event) if mould is not None else None
            if text is not None:
                if text:
                    texts.append(text)
                continue
            self._pass(texts)
            self._read(event)
            mould = self._mould
        self._pass(texts)
        self._answer.uncork()
        self._ready = None if self._rest else mould
        if len(self._rest) > MAX_EVENT_BYTES:
            self._answer.fail(BrokenAnswer(BROKEN))
            self._rest = b""

    def _pass(self, texts: list[bytes]) -> None:
        if texts and self._mould is not None:
            self._answer.escaped(texts, self._mould.thinks)
            texts.clear()

    def relay(self, data: bytes) -> int:
        """Take what can be passed on straight from the socket; return how many bytes that is.

        For most tokens this is all that happens: a read is one chunk, and the chunk is one event. So every part
        of that case is written out here; a call more would cost as much as all of it.

        Args:
            data: What has come between two chunks of a body. Taken are chunks of which each is one event with a
                text, from the first on, as long as they last.
        """
        mould = self._ready
        if mould is None:
            return 0
        length = len(data)
        if length < SMALL:
            before = LINES_BY_LENGTH[length] + mould.before
            after = mould.whole_after
            if data.startswith(before) and data.endswith(after):
                text = data[len(before) : -len(after)]
                if (
                    text
                    and text.isascii()
                    and not (_QUOTE in text or _BACKSLASH in text)
                    and text.decode().isprintable()
                ):
                    self._answer.escaped((text,), mould.thinks)
                    return length
        return self._relay_many(mould, data)

    def _relay_many(self, mould: Mould, data: bytes) -> int:
        before, after = mould.before, mould.whole_after
        texts: list[bytes] = []
        place, end = 0, len(data)
        while place < end:
            begin = data.find(_LINE_END, place, place + _SIZE_BYTES) + 1
            if not begin or not data.startswith(before, begin):
                break
            opening = begin + len(before)
            closing = data.find(after, opening)
            if closing < 0:
                break
            following = closing + len(after)
            size, told = following - begin - 2, data[place:begin]
            if told != b"%x\r\n" % size and told != b"%X\r\n" % size:
                break
            text = data[opening:closing]
            if (
                _QUOTE in text
                or _BACKSLASH in text
                or not (text.isascii() and text.decode().isprintable())
            ) and not is_inside(text):
                break
            if text:
                texts.append(text)
            place = following
        if texts:
            self._answer.escaped(texts, mould.thinks)
        return place

    def close(self) -> None:
        """The body is complete: what is left is an event without its empty line."""
        rest, self._rest = self._rest.strip(b"\r\n"), b""
        if rest and not self._answer.ended:
            self._read(rest)

    def _with_plain_lines(self, data: bytes) -> bytes:
        """Return ``data`` with LF ends only; JSON itself never holds a bare CR."""
        if self._rest.endswith(b"\r"):
            self._rest = self._rest[:-1]
            data = b"\r" + data
        held = b""
        if data.endswith(b"\r"):  # its LF may be on the way
            data, held = data[:-1], b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held

    def _read(self, event: bytes) -> None:
        if event.startswith(b"data: ") and b"\n" not in event:
            data = event[6:]
        else:
            lines = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
            data = b"\n".join([line.removeprefix(b" ") for line in lines])
        if not data:  # a comment, or the like
            return
        answer = self._answer
        if data == b"[DONE]":
            answer.complete()
            return
        learns = self._to_learn > 0 and answer.begun  # a first chunk is not like the others
        if self._dialect.tell(data, answer) and learns:
            self._to_learn -= 1
            self._mould = learn(event, self._dialect.shape) or self._mould
