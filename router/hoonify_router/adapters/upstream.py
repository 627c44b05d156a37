"""One connection to an upstream server: a request goes out, its answer comes back in callbacks."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol, cast

from hoonify_router.adapters.http_reader import ProtocolError, ResponseReader

log = logging.getLogger(__name__)

TICK = 1.0


class UpstreamError(Exception):
    """An upstream did not answer as it should; the message is for the operator's log."""


class ConnectFailed(UpstreamError):
    """It cannot be reached: nothing was sent."""


class ConnectionLost(UpstreamError):
    """The connection broke before the answer was complete."""


class UpstreamSilent(UpstreamError):
    """It sends nothing any more."""


class BadAnswer(UpstreamError):
    """What it sends is not HTTP."""


class Receiver(Protocol):
    """Who takes an answer; called straight from the socket's callback, must not block or raise.

    After ``on_head`` and any number of ``on_body`` comes exactly one of ``on_end`` and ``on_error``,
    unless the exchange is cancelled: then nothing more comes.
    """

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
    """How patient a pool is, in seconds, and how much it keeps.

    Args:
        connect: Until a connection must stand.
        first_byte: Until the answer must begin; a long prompt or a queue takes its time.
        idle: Between two signs of life of an answer that has begun.
        keep: How long an unused connection is kept.
        max_kept: How many unused connections are kept.
    """

    connect: float = 5.0
    first_byte: float = 900.0
    idle: float = 300.0
    keep: float = 60.0
    max_kept: int = 256


class Exchange:
    """One request and its answer.

    A request that was sent on a kept connection is sent once more on a new one when the old one turns out
    to be dead before the first byte of the answer: the upstream had closed it in that moment.
    """

    __slots__ = ("connection", "ended", "paused", "receiver", "request", "retried", "ticks")

    def __init__(self, request: bytes, receiver: Receiver) -> None:
        self.request = request
        self.receiver = receiver
        self.connection: UpstreamConnection | None = None
        self.paused = False
        self.ended = False
        self.retried = False
        self.ticks = 0.0

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
        limits: How patient it is.
    """

    def __init__(self, keeper: Keeper, limits: Limits) -> None:
        self._keeper = keeper
        self._limits = limits
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._answering = False  # the answer's first byte has come
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
        exchange.ticks = 0.0
        self.used += 1
        self._answering = False
        self._reader.start()
        self._transport.write(exchange.request)
        if exchange.paused:
            self._transport.pause_reading()

    def abort(self) -> None:
        """Close at once; the receiver hears nothing."""
        self.exchange = None
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

    def tick(self) -> None:
        """Count the silence of the answer under way."""
        exchange = self.exchange
        if exchange is None or exchange.paused:
            return
        exchange.ticks += TICK
        limits = self._limits
        if exchange.ticks > (limits.idle if self._answering else limits.first_byte):
            self.abort()
            exchange.fail(UpstreamSilent(f"nothing came for {exchange.ticks:.0f} s"))

    # ------------------------------------------------------------ from the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Read on in the answer."""
        exchange = self.exchange
        if exchange is None:
            self.abort()  # it speaks without being asked
            return
        exchange.ticks = 0.0
        if not self._answering:
            self._answering = True
            exchange.request = b""  # it will not be sent again
        reader = self._reader
        began = reader.status
        try:
            body = reader.feed(data)
            if not began and reader.status:
                exchange.receiver.on_head(reader.status, reader.headers)
            if body and not exchange.ended:
                exchange.receiver.on_body(body)
        except ProtocolError as error:
            self.abort()
            exchange.fail(BadAnswer(str(error)))
            return
        except Exception as bug:
            log.exception("an answer could not be taken")
            self.abort()
            exchange.fail(UpstreamError(f"it could not be taken: {bug!r}"))
            return
        if reader.done:
            self._finish(exchange)

    def eof_received(self) -> None:
        """Let the transport close; ``connection_lost`` tells the rest."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: the answer has ended, or never will."""
        self._transport = None
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

    def _finish(self, exchange: Exchange) -> None:
        self.exchange = None
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
