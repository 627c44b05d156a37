"""One answer to one HTTP request, written straight to the client's transport."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol

from hoonify_router.chunked import SIZE_LINES, SMALL, as_chunk
from hoonify_router.chunks import PING
from hoonify_router.errors import ModelUnavailable, Overloaded, RateLimited, RouterError
from hoonify_router.types import Usage

_JSON = "application/json"
_JSON_HEADS = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {_JSON}\r\n"
    for status in HTTPStatus
}
_STREAM_HEAD = (
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    "cache-control: no-cache\r\nx-accel-buffering: no\r\n"
)
NO_USE = 600.0
"""Seconds to a retry from which on clients are told not to try again by themselves."""

_line_of = "%s: %s\r\n".__mod__
_LINE_ENDS = str.maketrans("", "", "\r\n\0")


class Call(Protocol):
    """A request under way at a home."""

    def cancel(self) -> None:
        """Give the engine's slot back at once; harmless after the end."""

    def pause(self) -> None:
        """Hold what comes: the client does not read as fast."""

    def resume(self) -> None:
        """Go on."""


class Reply:
    """Writes status, headers and body of one answer, and hears when the client leaves or lags.

    Args:
        transport: The client's connection.
        headers: What else the head says; looked at when the head is written.
        chunked: Whether the client knows chunked bodies (HTTP/1.1).
        keep_alive: Whether the connection outlives this answer.

    Attributes:
        opened: Whether status and headers are out.
        ended: Whether the end is out, too.
        closed: Whether the client has left.
        head_only: Whether the client asked for no body (HEAD).
        keep_alive: May be taken back until the head is written.
        fresh: Whether something was written since the last look; pings need it.
        quiet: How many looks in a row found nothing new.
        lagging_since: ``time.monotonic()`` since which the client does not read; ``None`` if it does.
        on_released: Called with the seconds from the client's leaving until its engine's slot was free, and with
            what the request has cost, as far as the engine told.
        awaits_release: Whether an engine has been told to stop that will say when it has.
    """

    takes_all_at_end = True

    __slots__ = (
        "_call",
        "_chunked",
        "_headers",
        "_lost_at",
        "_on_lost",
        "_transport",
        "awaits_release",
        "closed",
        "ended",
        "fresh",
        "head_only",
        "keep_alive",
        "lagging_since",
        "on_released",
        "opened",
        "quiet",
    )

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        headers: Mapping[str, str],
        *,
        chunked: bool = True,
        keep_alive: bool = True,
    ) -> None:
        self._transport = transport
        self._headers = headers
        self._chunked = chunked
        self.keep_alive = keep_alive
        self._call: Call | None = None
        self.opened = False
        self.ended = False
        self.head_only = False
        self.closed = transport.is_closing()
        self.fresh = False
        self.quiet = 0
        self.lagging_since: float | None = None
        self._on_lost: Callable[[], object] | None = None
        self._lost_at: float | None = None
        self.on_released: Callable[[float, Usage | None], object] | None = None
        self.awaits_release = False

    # ------------------------------------------------------------ answers in one piece

    def send(self, status: int, body: bytes, content_type: str | None = None) -> None:
        """Write a whole answer, which is JSON unless its type is given."""
        self.opened = self.ended = True
        if not self.closed:
            first = _JSON_HEADS[status]
            if content_type is not None:
                first = first.replace(_JSON, content_type.translate(_LINE_ENDS))
            head = f"{first}content-length: {len(body)}\r\n{self._rest_of_head()}"
            data = head.encode("latin-1", "replace")
            self._transport.write(data if self.head_only else data + body)

    # ------------------------------------------------------------ streams

    def write(self, data: bytes) -> None:
        """Write whole events; the head goes before the first ones, in the same write."""
        if self.closed:
            return
        self.fresh = True
        if self._chunked:
            size = len(data)  # as ``as_chunk`` does it; this is done for each token
            data = SIZE_LINES[size] + data + b"\r\n" if size < SMALL else as_chunk(data)
        self._transport.write(data if self.opened else self._open() + data)

    def end(self, data: bytes) -> None:
        """Write the last events and end the answer."""
        self.ended = True
        if self.closed:
            return
        if self._chunked:
            data = as_chunk(data) + b"0\r\n\r\n"
        self._transport.write(data if self.opened else self._open() + data)

    def ping(self) -> None:
        """Write a comment that clients skip, so that nobody on the way thinks the stream is dead."""
        if self.lagging_since is None:
            self.write(PING)
            self.fresh = False

    def give_up(self) -> None:
        """Hang up on a client that does not read; it counts as one that has left."""
        self._transport.abort()

    def _open(self) -> bytes:
        self.opened = True
        if self._chunked:
            coding = "transfer-encoding: chunked\r\n"
        else:
            coding, self.keep_alive = "", False
        head = f"{_STREAM_HEAD}{coding}{self._rest_of_head()}"
        return head.encode("latin-1", "replace")

    def _rest_of_head(self) -> str:
        lines = "".join(map(_line_of, self._headers.items()))
        if lines.count("\n") != len(self._headers) or lines.count("\r") != len(self._headers):
            lines = "".join(
                [
                    f"{f'{name}: {value}'.translate(_LINE_ENDS)}\r\n"
                    for name, value in self._headers.items()
                ]
            )
        if not self.keep_alive:
            return f"{lines}connection: close\r\n\r\n"
        if not self._chunked:
            return f"{lines}connection: keep-alive\r\n\r\n"
        return f"{lines}\r\n"

    # ------------------------------------------------------------ what the client does

    def watch(self, on_lost: Callable[[], object]) -> None:
        """Call ``on_lost`` when the client leaves."""
        self._on_lost = on_lost

    def serve(self, call: Call) -> None:
        """Bind the request that answers; it shares the client's fate from now on."""
        self._call = call
        if self.closed:
            call.cancel()
        elif self.lagging_since is not None:
            call.pause()

    def release(self) -> None:
        """Let go of both: the home has said everything (and no cycle keeps this alive)."""
        self._call = None
        self._on_lost = None

    def lost(self) -> None:
        """The client has left: free the engine at once."""
        if self.closed:
            return
        self.closed = True
        self._lost_at = time.perf_counter()
        if self._call is not None:
            self._call.cancel()
        if self._on_lost is not None:
            self._on_lost()

    def released(self, usage: Usage | None = None) -> None:
        """The engine has given its slot back; of interest when that is because the client has left."""
        self.awaits_release = False
        if self._lost_at is not None and self.on_released is not None:
            self.on_released(time.perf_counter() - self._lost_at, usage)

    def pause(self) -> None:
        """The client does not read as fast as the engine speaks."""
        self.lagging_since = time.monotonic()
        if self._call is not None:
            self._call.pause()

    def resume(self) -> None:
        """The client reads again."""
        self.lagging_since = None
        if self._call is not None:
            self._call.resume()


class Letter(Reply):
    """An answer that Sanic sends: only it knows what has been read of the request, and what to do about the rest."""

    status = 500
    body = b""
    content_type = "application/json"

    def send(self, status: int, body: bytes, content_type: str | None = None) -> None:
        """Keep it."""
        self.status, self.body = status, body
        self.content_type = content_type or self.content_type


def error_headers(error: RouterError) -> dict[str, str]:
    """Return the headers that tell a client when to try again, if at all."""
    retry_after = error.retry_after
    if retry_after is None:
        temporary = isinstance(error, ModelUnavailable | Overloaded | RateLimited)
        return {"retry-after": "1"} if temporary else {}
    headers = {"retry-after": str(max(1, math.ceil(retry_after)))}
    if retry_after >= NO_USE:
        headers["x-should-retry"] = "false"  # the OpenAI SDKs obey it
    return headers
