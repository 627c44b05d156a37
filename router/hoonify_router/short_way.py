"""The short way of a plain chat, from the bytes of the socket past Sanic's reading of requests.

Nearly every request of a busy router looks the same: ``POST /v1/chat/completions`` with a few ordinary headers and a
body that arrived whole, and the head of one differs from that of the last one in its length alone. To read it here
costs a fifth of what a Sanic request, its route and its response cost. Whatever
is unusual in any way is none of ours, and Sanic reads it as it reads everything else: what a request *means* is decided
behind both ways, by the same pipeline on the same context, so the two never answer differently.
"""

from __future__ import annotations

import re

PATH = "/v1/chat/completions"
_BEGINNING = f"POST {PATH} HTTP/1.1\r\n".encode()
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)\r\n", re.IGNORECASE)
_MOST_DIGITS = 16
_UNUSUAL = frozenset({"transfer-encoding", "expect", "upgrade"})


PlainChat = tuple[dict[str, str], bytes]
"""Headers, their names in lower case, and body of a request that may go the short way."""


class Memory:
    """The head that a connection has sent last: its next one is most often the same, but for its length.

    What was read of the one is then true of the other, and only its length is looked at.
    """

    __slots__ = ("_after", "_before", "_headers")

    def __init__(self) -> None:
        self._before = self._after = b""
        self._headers: dict[str, str] = {}

    def recall(self, data: bytes, most_body: int) -> PlainChat | None:
        """Return the request that ``data`` is, if its head is known and its body is whole."""
        before, after = self._before, self._after
        if not before or not data.startswith(before):
            return None
        place = len(before)
        end = data.find(b"\r\n", place, place + _MOST_DIGITS)
        if end < 0 or not data.startswith(after, end):
            return None
        length = data[place:end]
        body = data[end + len(after) :]
        if not length.isdigit() or int(length) != len(body) or len(body) > most_body:
            return None
        headers = self._headers.copy()
        headers["content-length"] = length.decode("ascii")
        return headers, body

    def keep(self, head: bytes, headers: dict[str, str]) -> None:
        """Remember a head, given with the empty line that ends it, and what was read of it."""
        named = _LENGTH.search(head)
        if named is not None:
            self._before, self._after = head[: named.start(1)], head[named.end(1) :]
            self._headers = headers.copy()


def read_plain_chat(
    data: bytes, most_head: int, most_body: int, memory: Memory
) -> PlainChat | None:
    """Return the request that ``data`` is, ``None`` where it is unusual, more or less than one.

    Args:
        data: What a connection without a request under way has received.
        most_head: Bytes that a head may have.
        most_body: Bytes that a body may have.
        memory: Of this connection.
    """
    if (known := memory.recall(data, most_body)) is not None:
        return known
    if not data.startswith(_BEGINNING):
        return None
    end = data.find(b"\r\n\r\n")
    if not 0 < end < most_head:
        return None
    head = data[len(_BEGINNING) : end]
    if not head.isascii():
        return None
    headers: dict[str, str] = {}
    for line in head.decode("ascii").split("\r\n"):
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or name in headers or not _NAME.fullmatch(name):
            return None
        headers[name] = value.lstrip()
    if not _UNUSUAL.isdisjoint(headers):
        return None
    if headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    length = headers.get("content-length", "")
    body = data[end + 4 :]
    if not length.isdecimal() or int(length) != len(body) or len(body) > most_body:
        return None
    memory.keep(data[: end + 4], headers)
    return headers, body
