"""The client's connection: Sanic's protocol, with the ears that streams need."""

from __future__ import annotations

from time import monotonic
from typing import Any

from sanic.exceptions import RequestTimeout
from sanic.http.constants import Stage
from sanic.request import Request
from sanic.response import HTTPResponse
from sanic.server.protocols.http_protocol import HttpProtocol

from hoonify_router.reply import Reply


class ClientProtocol(HttpProtocol):
    """Tells the reply under way at once when its client leaves, lags or reads again."""

    __slots__ = ("reply",)

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.reply: Reply | None = None

    def check_timeouts(self) -> None:
        """Look whether the client keeps us waiting; Sanic itself does not while a body is to come."""
        http: Any = self._http
        waits = http is not None and http.stage is Stage.HANDLER and http.request_body
        if self._task and waits and monotonic() - self._time > self.request_timeout:
            http.exception = RequestTimeout()
            http.request_body = None  # nobody reads what may come still
            self._task.cancel()
        else:
            super().check_timeouts()  # type: ignore[no-untyped-call]

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        super().pause_writing()  # type: ignore[no-untyped-call]
        if self.reply is not None:
            self.reply.pause()

    def resume_writing(self) -> None:
        """It has drained."""
        super().resume_writing()  # type: ignore[no-untyped-call]
        if self.reply is not None:
            self.reply.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left; its engine hears of it before Sanic cancels the handler."""
        reply, self.reply = self.reply, None
        if reply is not None:
            reply.lost()
        super().connection_lost(exc)  # type: ignore[no-untyped-call]


class Written(HTTPResponse):
    """Stands for an answer that a ``Reply`` has written; Sanic has nothing left to send."""

    __slots__ = ("_reply",)

    def __init__(self, reply: Reply) -> None:
        # Not super().__init__(): nobody will ask for headers or cookies, and they cost time.
        self.asgi = False
        self.body = None
        self.content_type = None
        self.stream = None
        self.status = 200
        self._cookies = None
        self._reply = reply

    async def send(self, data: Any = None, end_stream: bool | None = None) -> None:
        """Tell Sanic's connection that it is free for the next request."""
        stream: Any = self.stream
        stream.response_func = None
        stream.stage = Stage.IDLE
        stream.keep_alive = self._reply.keep_alive
        protocol = stream.protocol
        protocol._time = monotonic()  # or a long stream would look like a long idle connection
        protocol.reply = None


def open_reply(request: Request, headers: dict[str, str]) -> Reply:
    """Return the reply for ``request``; from now on it hears what the client does."""
    stream: Any = request.stream
    protocol: Any = stream.protocol
    reply = Reply(
        protocol.transport,
        headers,
        chunked=request.version != "1.0",
        keep_alive=stream.keep_alive,
    )
    protocol.reply = reply
    if not protocol._can_write.is_set():
        reply.pause()
    # A large body pauses reading, and who does not read does not notice that the client leaves.
    if not reply.closed:
        protocol.transport.resume_reading()
    return reply
