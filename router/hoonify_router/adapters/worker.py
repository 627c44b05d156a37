"""The client's end of a worker's socket: one connection, any number of requests at the same time."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import msgspec

from hoonify_router import __version__
from hoonify_router.errors import EngineDead, PayloadTooLarge, RouterError, error_kinds
from hoonify_router.protocol import (
    OLDEST_PROTOCOL,
    PROTOCOL_VERSION,
    WINDOW,
    Bye,
    Cancel,
    Complete,
    Credit,
    Embed,
    Events,
    FrameReader,
    FrameTooLarge,
    Generate,
    Heartbeat,
    Hello,
    LoadFailed,
    Progress,
    Ready,
    Released,
    encode_frame,
)
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Counted,
    EmbeddingRequest,
    Event,
    Failure,
    Health,
    InferenceRequest,
    Text,
    Usage,
)

log = logging.getLogger(__name__)

_Incoming = Hello | Progress | Ready | LoadFailed | Events | Released | Heartbeat | Bye
_FRAMES: dict[type, Callable[[int, Any], msgspec.Struct]] = {
    ChatRequest: Generate,
    CompletionRequest: Complete,
    EmbeddingRequest: Embed,
}
OnReleased = Callable[[Usage | None], object]
"""Called with what a cancelled request has cost, as far as that is known."""

_OPEN_TIMEOUT = 5.0
GRANT_BATCH = WINDOW // 2
"""So many events are granted together, unless fewer are all that there is to grant."""

_LOST = "The connection to the engine was lost before the answer was complete."


class EventSink(Protocol):
    """Where the events of one request go.

    It hears exactly one terminal call: ``on_events`` with a ``Counted`` at the end, or ``on_failure``. Both are
    called straight from the socket's callback: they must not block and must not raise.
    """

    def on_events(self, events: Sequence[Event]) -> None:
        """Take what has come in one read, at least one event; never a ``Failure``."""

    def on_failure(self, error: RouterError) -> None:
        """Hear that the request has failed; nothing follows."""


class WorkerConnection(asyncio.Protocol):
    """A connection to an engine worker; open one with ``await WorkerConnection.open(path)``.

    Args:
        role: Who speaks: only the supervisor may load and drain.
        on_frame: Hears every frame that is about the worker and not about a request.

    Attributes:
        capabilities: What the engine can do, once it has told.
        health: How it does, as it last told.
        peer: What it said of itself when it said hello.
    """

    def __init__(
        self,
        role: Literal["gateway", "supervisor"] = "gateway",
        on_frame: Callable[[Any], None] | None = None,
    ) -> None:
        self.capabilities: Capabilities | None = None
        self.health: Health | None = None
        self.peer: Hello | None = None
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._role: Literal["gateway", "supervisor"] = role
        self._on_frame = on_frame
        self._kinds = error_kinds()
        self._encoder = msgspec.msgpack.Encoder()
        self._reader = FrameReader(msgspec.msgpack.Decoder(_Incoming))
        self._rids = itertools.count(1)
        self._sinks: dict[int, EventSink] = {}
        self._releases: dict[int, OnReleased] = {}
        self._grants: dict[int, int] = {}
        self._due: dict[int, int] = {}
        self._receiving = False
        self._transport: asyncio.Transport | None = None
        self._greeted: asyncio.Future[None] = self._loop.create_future()
        self._leaving = False

    @classmethod
    async def open(
        cls,
        path: Path | str,
        role: Literal["gateway", "supervisor"] = "gateway",
        on_frame: Callable[[Any], None] | None = None,
        patience: float = _OPEN_TIMEOUT,
    ) -> WorkerConnection:
        """Connect to the worker that listens at ``path``, within ``patience`` seconds.

        Raises:
            EngineDead: Nobody listens there, or not in our protocol.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(patience):
                _, connection = await loop.create_unix_connection(
                    lambda: cls(role, on_frame), str(path)
                )
                try:
                    await connection._greeted
                except BaseException:
                    connection.close()
                    raise
        except (OSError, TimeoutError) as exc:
            raise EngineDead("The engine cannot be reached.", retry_after=1) from exc
        return connection

    @property
    def closed(self) -> bool:
        """Return whether it takes no more requests."""
        return self._leaving or self._transport is None or self._transport.is_closing()

    @property
    def pending(self) -> int:
        """Return how many requests have not ended."""
        return len(self._sinks)

    # ------------------------------------------------------------ requests

    def submit(self, request: InferenceRequest, sink: EventSink) -> int:
        """Send a request; its events go to ``sink``.

        Returns:
            The request's number, for ``cancel`` and ``grant``.

        Raises:
            EngineDead: The connection is closed.
            PayloadTooLarge: The request does not fit into a frame.
        """
        if self.closed:
            raise EngineDead("The connection to the engine is closed.", retry_after=1)
        rid = next(self._rids)
        try:
            self.send(_FRAMES[type(request)](rid, request))
        except FrameTooLarge as exc:
            raise PayloadTooLarge("The request is too large for the model's engine.") from exc
        self._sinks[rid] = sink
        return rid

    def cancel(self, rid: int, released: OnReleased | None = None) -> None:
        """Stop a request: its sink hears nothing more. Unknown ones are fine.

        Args:
            rid: Its number.
            released: Called once the engine has given its slot back or is gone; not called where there is
                nothing to stop.
        """
        if self._sinks.pop(rid, None) is not None:
            self._forget(rid)
            if released is not None:
                self._releases[rid] = released
            if not self.closed:
                self.send(Cancel(rid))
            elif self._transport is None:
                self._loop.call_soon(self._release, rid, None)

    def grant(self, rid: int, events: int) -> None:
        """Tell that ``events`` more of a request are consumed, so that the worker may send as many.

        Every event must be granted, but they need not be granted one by one. Grants are sent in batches.
        """
        if rid not in self._sinks:
            return
        granted = self._grants.get(rid, 0) + events
        if granted < GRANT_BATCH:
            self._grants[rid] = granted
            return
        self._grants.pop(rid, None)
        if not (self._due or self._receiving):
            self._loop.call_soon(self._send_grants)
        self._due[rid] = self._due.get(rid, 0) + granted

    def send(self, frame: msgspec.Struct) -> None:
        """Send one frame.

        Raises:
            EngineDead: The connection is lost.
        """
        if self._transport is None:
            raise EngineDead("The connection to the engine is closed.", retry_after=1)
        self._transport.write(encode_frame(frame, self._encoder))

    def close(self) -> None:
        """Close the connection; requests that have not ended fail."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Break the connection, as the end of this process would."""
        if self._transport is not None:
            self._transport.abort()

    def _send_grants(self) -> None:
        due, self._due = self._due, {}
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(
                [encode_frame(Credit(rid, events), self._encoder) for rid, events in due.items()]
            )

    def _forget(self, rid: int) -> None:
        self._grants.pop(rid, None)
        self._due.pop(rid, None)

    # ------------------------------------------------------------ from the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        hello = Hello(self._role, OLDEST_PROTOCOL, __version__, os.getpid(), PROTOCOL_VERSION)
        self.send(hello)

    def data_received(self, data: bytes) -> None:
        """Hand events to their sinks."""
        try:
            frames = self._reader.feed(data)
        except (FrameTooLarge, msgspec.MsgspecError, ValueError, RecursionError):
            log.exception("a worker breaks the protocol; its connection is closed")
            assert self._transport is not None
            self._transport.abort()
            return
        self._receiving = True
        told: dict[int, list[Event]] = {}
        for frame in frames:
            if type(frame) is Events:
                for rid, event in frame.items:
                    if rid in told:
                        told[rid].append(event)
                    else:
                        told[rid] = [event]
                continue
            if told:
                self._deliver(told)
                told = {}
            if type(frame) is Released:
                self._release(frame.rid, frame.usage)
            else:
                self._note(frame)
        if told:
            self._deliver(told)
        self._receiving = False
        if self._due:
            self._send_grants()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whatever has not ended."""
        self._transport = None
        sinks, self._sinks = self._sinks, {}
        self._grants.clear()
        for rid in list(self._releases):
            self._release(rid, None)
        for sink in sinks.values():
            try:
                sink.on_failure(EngineDead(_LOST, retry_after=1))
            except Exception:
                log.exception("a sink failed")
        if not self._greeted.done():
            self._greeted.set_exception(ConnectionResetError("closed before Hello"))
        if not self.lost.done():
            self.lost.set_result(None)

    def _deliver(self, told: Mapping[int, Sequence[Event]]) -> None:
        """Hand each request's events over, together: one write to its client costs as much as many joined texts."""
        for rid, events in told.items():
            sink = self._sinks.get(rid)
            if sink is None:  # cancelled a moment ago
                for event in events:
                    if type(event) is Counted:  # and complete at the same time
                        self._release(rid, event.usage)
                continue
            try:
                if len(events) == 1 and type(events[0]) is Text:
                    sink.on_events(events)
                else:
                    self._deliver_some(rid, sink, events)
            except Exception:
                log.exception("a sink failed")
                if rid in self._sinks:  # it has not heard a terminal call yet
                    self.cancel(rid)
                    sink.on_failure(RouterError("The answer could not be processed."))

    def _deliver_some(self, rid: int, sink: EventSink, events: Sequence[Event]) -> None:
        """Hand over events among which may be the last one; whatever follows it is none."""
        end = next((one for one in events if type(one) is Counted or type(one) is Failure), None)
        if end is None:
            sink.on_events(events)
            return
        if said := events[: events.index(end)]:
            sink.on_events(said)
        if self._sinks.pop(rid, None) is None:
            return  # it was cancelled while it took the events
        self._forget(rid)
        self._leave_when_done()
        if isinstance(end, Failure):
            sink.on_failure(self._error(end))
        else:
            sink.on_events((end,))

    def _leave_when_done(self) -> None:
        """Part from a worker that leaves, once nothing more is to come from it."""
        if self._leaving and not self._sinks and not self._releases:
            self.close()

    def _release(self, rid: int, usage: Usage | None) -> None:
        released = self._releases.pop(rid, None)
        if released is not None:
            try:
                released(usage)
            except Exception:
                log.exception("whoever waited for a slot failed")
            self._leave_when_done()

    def _error(self, failure: Failure) -> RouterError:
        kind = self._kinds.get(failure.kind, RouterError)
        return kind(failure.message, param=failure.param, retry_after=failure.retry_after)

    def _note(self, frame: Any) -> None:
        if isinstance(frame, Hello):
            self.peer = frame
            if not OLDEST_PROTOCOL <= frame.protocol <= PROTOCOL_VERSION:
                log.error(
                    "a worker of hoonify-router %s speaks protocol %d, this is %d",
                    frame.version,
                    frame.protocol,
                    PROTOCOL_VERSION,
                )
                self.close()
            elif not self._greeted.done():
                self._greeted.set_result(None)
            return
        if isinstance(frame, Ready):
            self.capabilities = frame.capabilities
        elif isinstance(frame, Heartbeat):
            self.health = frame.health
        elif isinstance(frame, Bye):
            self._leaving = True
            self._leave_when_done()
        if self._on_frame is not None:
            self._on_frame(frame)
