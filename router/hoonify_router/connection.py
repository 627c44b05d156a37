"""The client's connection: Sanic's protocol, with the ears that streams need."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from sanic.exceptions import RequestTimeout
from sanic.http import Http
from sanic.http.constants import Stage
from sanic.request import Request
from sanic.response import HTTPResponse
from sanic.server.protocols.http_protocol import HttpProtocol

from hoonify_router.gateway import Gateway
from hoonify_router.reply import Reply
from hoonify_router.short_way import PATH, Memory, PlainChat, read_plain_chat

LINGER = 5.0
"""Seconds that a client has to read a refusal that came while it was still sending."""

_MOST_HELD = 64 * 1024  # bytes of further requests that wait for an answer; then no more is read


class LightEvent(asyncio.Event):
    """An event that takes a tenth of the memory: each connection has two, and asyncio's keep a queue for 64 waiters.

    Args:
        value: Whether it is set.
    """

    def __init__(self, value: bool) -> None:
        self._waiters: Any = []
        self._value = value


class ClientProtocol(HttpProtocol):
    """Tells the reply under way at once when its client leaves, lags or reads again.

    A client that is refused while it sends, as with a body that is too large, reads the answer only after
    it has sent everything; a socket closed over unread bytes is reset, and the answer is lost with it. So
    what still comes is thrown away for a while before such a connection is closed.

    Plain chats go the short way (``short_way.py``), past Sanic, whose own task waits for its next request
    meanwhile; so what comes after such a chat is kept from it until the answer is out.
    """

    __slots__ = ("_conversation", "_goodbye", "_held", "_memory", "_short", "reply")

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._can_write = LightEvent(True)
        self._data_received = LightEvent(False)
        self.reply: Reply | None = None
        self._conversation: Any = None
        self._goodbye: asyncio.TimerHandle | None = None
        self._http: Any = None
        self._short: asyncio.Task[None] | None = None
        self._held = b""
        self._memory = Memory()

    def _setup_connection(self, *args: Any, **more: Any) -> None:
        super()._setup_connection(*args, **more)  # type: ignore[no-untyped-call]
        self._conversation = self._http  # Sanic forgets it before it closes

    def close(self, timeout: float | None = None) -> None:
        """Close the connection, or our side of it first while the client is still sending."""
        transport = self.transport
        if (
            transport is not None
            and self._task is None
            and self._goodbye is None
            and self._is_sending(transport)
        ):
            if self._callback_check_timeouts:
                self._callback_check_timeouts.cancel()
            self._goodbye = self.loop.call_later(LINGER, self.close)
            transport.write_eof()
            transport.resume_reading()
        else:
            super().close(timeout)

    def _is_sending(self, transport: asyncio.Transport) -> bool:
        http, self._conversation = self._conversation, None
        if http is None or transport.is_closing():
            return False
        return bool(http.request_body or self.recv_buffer) and transport.can_write_eof()

    def data_received(self, data: bytes) -> None:
        """Take what the client sends, or throw it away after a refusal."""
        if self._goodbye is not None:
            return
        if self._short is not None:
            self._held += data
            if len(self._held) > _MOST_HELD and self.transport is not None:
                self.transport.pause_reading()
            return
        if self._is_free() and not self.recv_buffer:
            chat = read_plain_chat(data, Http.HEADER_MAX_SIZE, self.request_max_size, self._memory)
            if chat is not None:
                self._short = self.loop.create_task(self._answer(chat))
                return
        super().data_received(data)

    def _is_free(self) -> bool:
        """Tell whether nothing is under way: Sanic waits, or has not even begun on a new connection."""
        http = self._http
        if http is None:
            return self._conversation is None and self._task is not None
        return http.stage is Stage.IDLE

    # ------------------------------------------------------------ the short way

    async def _answer(self, chat: PlainChat) -> None:
        """Take a plain chat to the pipeline, as the route of all other chats does."""
        gateway: Gateway = self.app.ctx.gateway
        assert self.transport is not None
        headers, body = chat
        ctx = gateway.new_context("POST", PATH, headers, self.conn_info, body)
        reply = Reply(self.transport, ctx.response_headers)
        self.reply = reply
        if not self._can_write.is_set():
            reply.pause()
        try:
            await gateway.pipeline.infer(ctx, reply, "chat")
        except asyncio.CancelledError:  # the client has left, or the door closes
            reply.keep_alive = False
        finally:
            self.reply = self._short = None
            self._go_on(reply.keep_alive)

    def _go_on(self, keep_alive: bool) -> None:
        """Be free for the next request, which may have come already."""
        self._time = monotonic()  # or a long stream would look like a long idle connection
        held, self._held = self._held, b""
        if self.transport is None or self.transport.is_closing():
            return
        if not keep_alive:
            self.transport.close()
        elif held:
            self.transport.resume_reading()
            self.data_received(held)

    def close_if_idle(self) -> bool:
        """Close the connection unless a request is under way."""
        return self._short is None and super().close_if_idle()

    # ------------------------------------------------------------ what the client does

    def check_timeouts(self) -> None:
        """Look whether the client keeps us waiting; Sanic itself does not while a body is to come."""
        http: Any = self._http
        if self._short is not None:
            self._time = monotonic()  # Sanic would take the connection for an idle one
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
        if self._goodbye is not None:
            self._goodbye.cancel()
        if self._short is not None:
            self._short.cancel()
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
