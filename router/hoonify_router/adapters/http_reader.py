"""Reads HTTP/1.1 answers out of a byte stream that may be cut anywhere."""

from __future__ import annotations

import re
from typing import Final

MAX_HEAD_BYTES = 64 * 1024
MAX_LINE_BYTES = 4096

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_FIELD = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|content-type|retry-after):[ \t]*([^\r\n]*)",
    re.IGNORECASE,
)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)\r\n", re.IGNORECASE)
_MOST_DIGITS = 15
_HEX = re.compile(rb"[0-9A-Fa-f]{1,15}")
_HEX_DIGITS = b"0123456789abcdefABCDEF"

# Where in an answer the reader is; plain numbers, since enum members are slow to compare.
_HEAD: Final = 0
_SIZED: Final = 1  # content-length
_UNTIL_CLOSE: Final = 2
_DONE: Final = 3
_CHUNK_SIZE: Final = 4
_CHUNK: Final = 5
_CHUNK_END: Final = 6
_TRAILER: Final = 7


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1; the connection is of no more use."""


class ResponseReader:
    """Reads one answer after the other; ``start`` begins the next.

    The head of a good answer most often differs from that of the last one in its length alone: what was read of
    the one is then true of the other.

    Attributes:
        status: Of the answer, once its head is there; 0 before.
        headers: Those that matter here, with lower-case names; of two the last counts.
        reusable: Whether the connection may carry another request when the answer is done.
    """

    __slots__ = (
        "_after",
        "_before",
        "_buffer",
        "_known",
        "_left",
        "_state",
        "headers",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self._before = self._after = b""
        self._known: dict[bytes, bytes] = {}
        self.start()

    def start(self) -> None:
        """Make ready for the next answer."""
        self._state = _HEAD
        self._buffer = b""
        self._left = 0
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.reusable = True

    @property
    def done(self) -> bool:
        """Whether the answer is complete."""
        return self._state == _DONE

    @property
    def between_chunks(self) -> bool:
        """Whether the next byte begins another chunk of the body."""
        return self._state == _CHUNK_SIZE and not self._buffer

    def feed(self, data: bytes) -> bytes:
        """Take received bytes, return what of the body they hold.

        Raises:
            ProtocolError: They cannot be an answer.
        """
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        if self._before and self._state == _HEAD and data.startswith(self._before):
            place = len(self._before)
            end = data.find(b"\r\n", place, place + _MOST_DIGITS)
            if end > place and data.startswith(self._after, end) and data[place:end].isdigit():
                return self._read_known(data[place:end], data[end + len(self._after) :])
        while self._state == _HEAD:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > MAX_HEAD_BYTES:
                    raise ProtocolError("the head is too long")
                self._buffer = data
                return b""
            self._read_head(data[:end])
            if self._state == _SIZED and self.status == 200 and self.reusable:
                self._remember(data[: end + 4])
            data = data[end + 4 :]
        if self._state >= _CHUNK_SIZE:
            return self._read_chunked(data)
        if self._state == _SIZED:
            return self._read_sized(data)
        if self._state == _DONE:
            if data:  # nobody has asked for more: what comes cannot be trusted
                self.reusable = False
            return b""
        return data

    def close(self) -> None:
        """The peer has closed the connection.

        Raises:
            ProtocolError: The answer is not complete.
        """
        self.reusable = False
        if self._state == _UNTIL_CLOSE:
            self._state = _DONE
        elif self._state != _DONE:
            raise ProtocolError("the connection was closed in the middle of the answer")

    # ------------------------------------------------------------ the head

    def _read_head(self, head: bytes) -> None:
        end = head.find(b"\r\n")
        line, fields = (head, b"") if end < 0 else (head[:end], head[end:])
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError("there is no status line")
        status = int(match[2])
        if status < 200:
            if status == 101:
                raise ProtocolError("it switches protocols")
            return  # 100 Continue and the like: the answer follows
        headers = self._read_headers(fields)
        self.status = status
        self.headers = headers
        connection = headers.get(b"connection")
        if connection is not None:
            connection = connection.lower()
            self.reusable = b"close" not in connection and (
                match[1] == b"1" or b"keep-alive" in connection
            )
        elif match[1] != b"1":
            self.reusable = False
        coding = headers.get(b"transfer-encoding")
        length = headers.get(b"content-length")
        if status in (204, 304):
            self._state = _DONE
        elif coding is not None:
            if coding.lower() != b"chunked":
                raise ProtocolError("the transfer coding is unknown")
            if length is not None:  # two lengths: read it as the standard says, trust it no further
                self.reusable = False
            self._state = _CHUNK_SIZE
        elif length is not None:
            if not length.isdigit() or len(length) > 15:
                raise ProtocolError("the content length is not a number")
            self._left = int(length)
            self._state = _SIZED if self._left else _DONE
        else:
            self.reusable = False
            self._state = _UNTIL_CLOSE

    def _remember(self, head: bytes) -> None:
        named = _LENGTH.search(head)
        if named is not None and head.lower().count(b"content-length") == 1:
            self._before, self._after = head[: named.start(1)], head[named.end(1) :]
            self._known = self.headers

    def _read_known(self, length: bytes, rest: bytes) -> bytes:
        self.status = 200
        self.headers = headers = self._known.copy()
        headers[b"content-length"] = length
        self._left = int(length)
        self._state = _SIZED if self._left else _DONE
        return self._read_sized(rest)

    def _read_headers(self, block: bytes) -> dict[bytes, bytes]:
        headers: dict[bytes, bytes] = {}
        for any_case, padded in _FIELD.findall(block):
            name, value = any_case.lower(), padded.rstrip(b" \t")
            if name == b"content-length" and headers.get(name, value) != value:
                raise ProtocolError("there are two content lengths")
            headers[name] = value
        return headers

    # ------------------------------------------------------------ the body

    def _read_sized(self, data: bytes) -> bytes:
        if len(data) > self._left:
            self.reusable = False
            data = data[: self._left]
        self._left -= len(data)
        if not self._left:
            self._state = _DONE
        return data

    def _read_chunked(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        place, end = 0, len(data)
        if self._state == _CHUNK_SIZE:  # most often it is one whole chunk, or some of them
            while place < end:
                stop = data.find(b"\r\n", place, place + 12)
                line = data[place:stop]
                if stop <= place or line.translate(None, _HEX_DIGITS):
                    break
                size = int(line, 16)
                following = stop + size + 4
                if following > end or data[following - 2 : following] != b"\r\n":
                    break
                if not size:  # and no trailer, which would stand where the empty line is
                    self._state = _DONE
                    self.reusable = self.reusable and following == end
                    place = end
                    break
                pieces.append(data[stop + 2 : following - 2])
                place = following
        while place < end and self._state != _DONE:
            if self._state == _CHUNK_SIZE:
                went = self._read_chunk_size(data, place)
            elif self._state == _CHUNK:
                went = self._read_chunk(data, place, pieces)
            elif self._state == _CHUNK_END:
                went = self._read_chunk_end(data, place)
            else:
                went = self._read_trailer(data, place)
            if went < 0:
                self._buffer = data[place:]
                if len(self._buffer) > MAX_LINE_BYTES:
                    raise ProtocolError("a line is too long")
                break
            place = went
        else:
            if place < end:  # more than the answer: nobody has asked for it
                self.reusable = False
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_chunk_size(self, data: bytes, place: int) -> int:
        end = data.find(b"\r\n", place)
        if end < 0:
            return -1
        line = data[place:end]
        if _HEX.fullmatch(line) is None:
            line = line.partition(b";")[0].rstrip(b" \t")
            if _HEX.fullmatch(line) is None:
                raise ProtocolError("a chunk has no size")
        self._left = int(line, 16)
        self._state = _CHUNK if self._left else _TRAILER
        return end + 2

    def _read_chunk(self, data: bytes, place: int, pieces: list[bytes]) -> int:
        piece = data[place : place + self._left]
        pieces.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._state = _CHUNK_END
        return place + len(piece)

    def _read_chunk_end(self, data: bytes, place: int) -> int:
        end = data[place : place + 2]
        if end == b"\r\n":
            self._state = _CHUNK_SIZE
            return place + 2
        if end == b"\r":
            return -1
        raise ProtocolError("a chunk is longer than it says")

    def _read_trailer(self, data: bytes, place: int) -> int:
        end = data.find(b"\r\n", place)
        if end < 0:
            return -1
        if end == place:
            self._state = _DONE
        return end + 2
