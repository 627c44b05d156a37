"""A lean HTTP/1.1 client for upstream servers: kept connections and callbacks, no task per request."""

from __future__ import annotations

import asyncio
import time

from hoonify_router.adapters.origin import Origin
from hoonify_router.adapters.upstream import (
    TICK,
    ConnectFailed,
    ConnectionLost,
    ConnectTimedOut,
    Exchange,
    Limits,
    NoFilesLeft,
    Receiver,
    UpstreamConnection,
)
from hoonify_router.open_files import none_is_left


class Pool:
    """Connections to one origin.

    Args:
        origin: Where they go.
        limits: How much it keeps.
    """

    def __init__(self, origin: Origin, limits: Limits | None = None) -> None:
        self.origin = origin
        self.limits = limits or Limits()
        self._tls = origin.tls_context()
        self._kept: list[UpstreamConnection] = []
        self._all: set[UpstreamConnection] = set()
        self._connecting: dict[asyncio.Task[None], Exchange] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def send(self, request: bytes, receiver: Receiver, connect: float = 0.0) -> Exchange:
        """Send a whole request; the answer goes to ``receiver``.

        Nothing is awaited: on a kept connection the request is written at once, otherwise a new
        connection is made first.

        Args:
            request: Head and body.
            receiver: Takes the answer.
            connect: Seconds until a new connection must stand; 0 is no limit.
        """
        exchange = Exchange(request, receiver, connect)
        while self._kept:
            connection = self._kept.pop()
            if connection.usable:
                connection.send(exchange)
                return exchange
        self.connect(exchange)
        return exchange

    def connect(self, exchange: Exchange) -> None:
        """Make a new connection for ``exchange``."""
        task = asyncio.ensure_future(self._connect(exchange))
        self._connecting[task] = exchange
        task.add_done_callback(self._connecting.pop)

    def keep(self, connection: UpstreamConnection) -> None:
        """Take a connection back for the next request."""
        if self._closed or len(self._kept) >= self.limits.max_kept:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        self._kept.append(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        """Let go of a connection that is gone."""
        self._all.discard(connection)
        if connection in self._kept:
            self._kept.remove(connection)

    @property
    def kept(self) -> int:
        """Return how many connections wait for a request."""
        return len(self._kept)

    def retire(self) -> None:
        """Take nothing new; requests under way may end."""
        self._closed = True
        for connection in list(self._kept):
            connection.close()

    def close(self) -> None:
        """Close everything; requests under way fail."""
        self._closed = True
        for connection in list(self._all):
            under_way = connection.exchange
            connection.abort()
            if under_way is not None:
                under_way.fail(ConnectionLost("the pool was closed"))
        for task, exchange in list(self._connecting.items()):
            task.cancel()
            exchange.fail(ConnectFailed("the pool was closed"))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _connect(self, exchange: Exchange) -> None:
        if exchange.ended:
            return
        loop = asyncio.get_running_loop()
        origin = self.origin
        try:
            async with asyncio.timeout(exchange.connect or None):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(self),
                    origin.host,
                    origin.port,
                    ssl=self._tls,
                )
        except TimeoutError as error:  # ours, or the kernel's own, which is an OSError
            exchange.fail(ConnectTimedOut(str(error) or "it took too long"))
            return
        except OSError as error:
            kind = NoFilesLeft if none_is_left(error) else ConnectFailed
            exchange.fail(kind(str(error) or type(error).__name__))
            return
        self._all.add(connection)
        if self._timer is None:
            self._timer = loop.call_later(TICK, self._tick)
        if exchange.ended:  # cancelled while the connection was made: good for the next one
            self.keep(connection)
        elif connection.usable:
            connection.send(exchange)
        else:
            exchange.fail(ConnectionLost("it was closed at once"))

    def _tick(self) -> None:
        oldest = time.monotonic() - self.limits.keep
        for connection in list(self._all):
            if connection.exchange is None and connection.idle_since < oldest:
                connection.abort()
        self._timer = None
        if self._all:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)
