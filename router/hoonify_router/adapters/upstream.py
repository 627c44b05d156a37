"""One connection to an upstream server: a request goes out, its answer comes back in callbacks."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from hoonify_router.adapters.http_reader import ProtocolError, ResponseReader

log = logging.getLogger(__name__)

TICK = 1.0
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class UpstreamError(Exception):
    """An upstream did not answer as it should; the message is for the operator's log."""


class ConnectFailed(UpstreamError):
    """It cannot be reached: nothing was sent."""


class ConnectTimedOut(ConnectFailed):
    """It took too long to reach it: nothing was sent."""


class NoFilesLeft(ConnectFailed):
    """This process may not open another socket: nothing was sent, and the upstream is not to blame."""


class ConnectionLost(UpstreamError):
    """The connection broke before the answer was complete."""


class BadAnswer(UpstreamError):
    """What it sends is not HTTP."""


class Receiver(Protocol):
    """Who takes an answer; called straight from the socket's callback, must not block or raise.

    After ``on_head`` and any number of ``on_body`` comes exactly one of ``on_end`` and ``on_error``,
    unless the exchange is cancelled: then nothing more comes.

    Attributes:
        relay: Looks at what comes between two chunks of a body before anybody else does, and returns how many
            bytes of whole chunks it has taken from the beginning; ``None`` where there is no such short way.
    """

    relay: Callable[[bytes], int] | None

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """Take the status and those headers that matter, with lower-case names."""

    def on_body(self, data: bytes) -> None:
        """Take what has come of the body since the last call."""

    def on_end(self) -> None:
        """Hear that the answer is complete."""

    def on_error(self, error: UpstreamError) -> None:
        """Hear that it will never be."""


@dataclass(frozen=True)
class Limits:
    """How much a pool keeps.

    Args:
        keep: Seconds for which an unused connection is kept.
        max_kept: How many unused connections are kept.
    """

    keep: float = 60.0
    max_kept: int = 256


class Exchange:
    """One request and its answer.

    A request that was sent on a kept connection is sent once more on a new one when the old one turns out
    to be dead before the first byte of the answer: the upstream had closed it in that moment.

    How long the answer may take is not its business: whoever asks has clocks (see ``patience``) and cancels.

    Args:
        request: The whole request.
        receiver: Takes the answer.
        connect: Seconds until a new connection must stand, if one is needed; 0 is no limit.
    """

    __slots__ = ("connect", "connection", "ended", "paused", "receiver", "request", "retried")

    def __init__(self, request: bytes, receiver: Receiver, connect: float = 0.0) -> None:
        self.request = request
        self.receiver = receiver
        self.connect = connect
        self.connection: UpstreamConnection | None = None
        self.paused = False
        self.ended = False
        self.retried = False

    def cancel(self) -> None:
        """Close the connection, so that the upstream stops at once; the receiver hears nothing more."""
        if not self.ended:
            self.ended = True
            if self.connection is not None:
                self.connection.abort()

    def pause(self) -> None:
        """Stop reading: the upstream feels it when the buffers between are full."""
        self.paused = True
        if self.connection is not None:
            self.connection.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self.paused = False
        if self.connection is not None:
            self.connection.resume_reading()

    def fail(self, error: UpstreamError) -> None:
        """End with an error, unless it has ended."""
        if not self.ended:
            self.ended = True
            self.receiver.on_error(error)


class Keeper(Protocol):
    """Who owns connections."""

    def connect(self, exchange: Exchange) -> None:
        """Make a new connection for ``exchange``."""

    def keep(self, connection: UpstreamConnection) -> None:
        """Take a connection back."""

    def forget(self, connection: UpstreamConnection) -> None:
        """Let go of one that is gone."""


class UpstreamConnection(asyncio.Protocol):
    """One connection, with one exchange at a time.

    Args:
        keeper: Who hears when it is free, gone, or an exchange needs a new one.
    """

    __slots__ = (
        "_answering",
        "_keeper",
        "_reader",
        "_relay",
        "_transport",
        "exchange",
        "idle_since",
        "used",
    )

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._answering = False  # the answer's first byte has come
        self._relay: Callable[[bytes], int] | None = None  # between two chunks only
        self.exchange: Exchange | None = None
        self.used = 0
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Whether a request can be sent on it."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, exchange: Exchange) -> None:
        """Send a request; its answer goes to its receiver."""
        assert self._transport is not None
        self.exchange = exchange
        exchange.connection = self
        self.used += 1
        self._answering = False
        self._relay = None
        self._reader.start()
        self._transport.write(exchange.request)
        if exchange.paused:
            self._transport.pause_reading()

    def abort(self) -> None:
        """Close at once; the receiver hears nothing."""
        self.exchange = self._relay = None
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close in good order; nothing is under way."""
        if self._transport is not None:
            self._transport.close()

    def pause_reading(self) -> None:
        """Let the upstream wait."""
        if self.usable:
            self._transport.pause_reading()  # type: ignore[union-attr]

    def resume_reading(self) -> None:
        """Read on."""
        if self.usable:
            self._transport.resume_reading()  # type: ignore[union-attr]

    # ------------------------------------------------------------ from the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        _keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Read on in the answer."""
        exchange = self.exchange
        if exchange is None:
            self.abort()  # it speaks without being asked
            return
        try:
            if (relay := self._relay) is not None:
                taken = relay(data)
                if taken == len(data):
                    return
                if taken:
                    data = data[taken:]
            self._read(exchange, data)
        except ProtocolError as error:
            self.abort()
            exchange.fail(BadAnswer(str(error)))
            return
        except Exception as bug:
            log.exception("an answer could not be taken")
            self.abort()
            exchange.fail(UpstreamError(f"it could not be taken: {bug!r}"))
            return
        if self._reader.done:
            self._finish(exchange)

    def eof_received(self) -> None:
        """Let the transport close; ``connection_lost`` tells the rest."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: the answer has ended, or never will."""
        self._transport = self._relay = None
        self._keeper.forget(self)
        exchange, self.exchange = self.exchange, None
        if exchange is None or exchange.ended:
            return
        exchange.connection = None
        if self.used > 1 and not self._answering and not exchange.retried:
            exchange.retried = True
            self._keeper.connect(exchange)
            return
        try:
            if exc is not None:
                raise ProtocolError(str(exc) or type(exc).__name__)
            self._reader.close()
        except ProtocolError as error:
            exchange.fail(ConnectionLost(str(error)))
            return
        exchange.ended = True
        exchange.receiver.on_end()

    def _read(self, exchange: Exchange, data: bytes) -> None:
        if not self._answering:
            self._answering = True
            exchange.request = b""  # it will not be sent again
        reader, receiver = self._reader, exchange.receiver
        began = reader.status
        body = reader.feed(data)
        if not began and reader.status:
            receiver.on_head(reader.status, reader.headers)
        if body and not exchange.ended:
            receiver.on_body(body)
        self._relay = receiver.relay if reader.between_chunks and not exchange.ended else None

    def _finish(self, exchange: Exchange) -> None:
        self.exchange = self._relay = None
        exchange.connection = None
        if exchange.paused:
            self.resume_reading()
        if self._reader.reusable and self.usable:
            self._keeper.keep(self)
        elif self._transport is not None:
            self._transport.close()
        if not exchange.ended:
            exchange.ended = True
            exchange.receiver.on_end()


def _keep_alive(sock: socket.socket | None) -> None:
    """Let the kernel find out when a host is gone without a word: a long answer in one piece is silent."""
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE.items():
        if (number := getattr(socket, option, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, number, value)
