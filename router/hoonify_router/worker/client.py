"""A client's connection to the worker: frames in, frames out, and the requests that hang on it."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any, Protocol, cast

import msgspec

from hoonify_router import __version__
from hoonify_router.errors import RouterError
from hoonify_router.protocol import (
    OLDEST_PROTOCOL,
    PROTOCOL_VERSION,
    Bye,
    Cancel,
    Complete,
    Credit,
    Drain,
    Embed,
    Events,
    FrameReader,
    FrameTooLarge,
    Generate,
    Hello,
    Load,
    Released,
    agreed_protocol,
    encode_frame,
)
from hoonify_router.types import Event, Failure
from hoonify_router.worker.serving import Serving, failure_of

log = logging.getLogger(__name__)

Asking = Generate | Complete | Embed
"""The frames that begin a request."""

_Incoming = Hello | Load | Asking | Credit | Cancel | Drain


class Worker(Protocol):
    """What a connection asks of the worker behind it."""

    def greet(self, client: Client) -> None:
        """Tell a client that has just said hello how things stand."""

    def part(self, client: Client) -> None:
        """Forget a client that is gone."""

    def load(self, options: dict[str, Any]) -> None:
        """Start loading the engine."""

    def serve(self, client: Client, frame: Asking) -> Serving:
        """Start a request.

        Raises:
            RouterError: It is not taken.
        """

    def drain(self, deadline: float) -> None:
        """Finish within ``deadline`` seconds and leave."""


class Client(asyncio.Protocol):
    """One connection to the worker's socket.

    Args:
        worker: Who does what the frames ask for.
    """

    def __init__(self, worker: Worker) -> None:
        self.role = ""
        self.servings: dict[int, Serving] = {}
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(msgspec.msgpack.Decoder(_Incoming))
        self._encoder = msgspec.msgpack.Encoder()
        self._outgoing: list[tuple[int, Event]] = []
        self._transport: asyncio.Transport | None = None
        self._congested = False

    # ------------------------------------------------------------ from the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        """Do what the frames say; a peer that talks nonsense is cut off, others are not concerned."""
        try:
            for frame in self._reader.feed(data):
                self._handle(frame)
        except (FrameTooLarge, msgspec.MsgspecError, ValueError, RecursionError) as exc:
            log.warning("cut off a client (%s) that breaks the protocol: %s", self.role or "?", exc)
            self.abort()

    def pause_writing(self) -> None:
        """Note that the client does not read; events are bounded by credit, the rest is skipped."""
        self._congested = True

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._congested = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all that the client had asked for."""
        self._transport = None
        servings, self.servings = self.servings, {}
        for serving in servings.values():
            serving.cancel()
        self._worker.part(self)

    # ------------------------------------------------------------ to the transport

    def send(self, frame: msgspec.Struct) -> None:
        """Send one frame, behind all events that came before it."""
        self._flush()
        if self._transport is not None:
            self._transport.write(encode_frame(frame, self._encoder))

    def notify(self, frame: msgspec.Struct) -> None:
        """Send one frame that may be left out while the client does not read."""
        if self.role and not self._congested:
            self.send(frame)

    def emit(self, rid: int, event: Event) -> None:
        """Send an event together with all others of this turn of the loop."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append((rid, event))

    def close(self) -> None:
        """Send what is waiting, then close."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._outgoing.clear()
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        items, self._outgoing = self._outgoing, []
        if items and self._transport is not None:
            self._transport.writelines(self._encode(items))

    def _encode(self, items: list[tuple[int, Event]]) -> list[bytes]:
        """Return the items as frames: nearly always one; more when they do not fit or one is bad."""
        try:
            return [encode_frame(Events(items), self._encoder)]
        except (FrameTooLarge, ValueError) as exc:  # ValueError: text that is no Unicode
            if len(items) > 1:
                half = len(items) // 2
                return self._encode(items[:half]) + self._encode(items[half:])
            rid = items[0][0]
            log.error("an event cannot be sent: %s", exc)
            if (serving := self.servings.pop(rid, None)) is not None:
                serving.cancel()
            told = Failure("RouterError", "The model's engine gave an answer that cannot be sent.")
            return [encode_frame(Events([(rid, told)]), self._encoder)]

    # ------------------------------------------------------------ frames

    def _handle(self, frame: Any) -> None:
        if isinstance(frame, Hello):
            self._meet(frame)
        elif not self.role:
            raise ValueError(f"{type(frame).__name__} before Hello")
        elif isinstance(frame, Credit):
            if (serving := self.servings.get(frame.rid)) is not None:
                serving.grant(frame.events)
        elif isinstance(frame, Asking):
            self._serve(frame)
        elif isinstance(frame, Cancel):
            self._cancel(frame.rid)
        elif self.role != "supervisor":
            raise ValueError(f"{type(frame).__name__} from a {self.role}")
        elif isinstance(frame, Load):
            self._worker.load(frame.options)
        else:
            self._worker.drain(frame.deadline)

    def _meet(self, hello: Hello) -> None:
        if self.role or hello.role == "worker":
            raise ValueError("an unexpected Hello")
        agreed = agreed_protocol(hello)
        spoken = PROTOCOL_VERSION if agreed is None else agreed
        self.send(Hello("worker", spoken, __version__, os.getpid(), PROTOCOL_VERSION))
        if agreed is None:
            theirs, ours = hello.protocol, f"{OLDEST_PROTOCOL} and {PROTOCOL_VERSION}"
            self.send(Bye(f"protocol {theirs} is not spoken here, only {ours}"))
            self.close()
            return
        self.role = hello.role
        self._worker.greet(self)

    def _serve(self, frame: Asking) -> None:
        rid = frame.rid
        if rid in self.servings:
            raise ValueError(f"request {rid} twice")
        try:
            self.servings[rid] = self._worker.serve(self, frame)
        except RouterError as error:
            self.emit(rid, failure_of(error))

    def _cancel(self, rid: int) -> None:
        serving = self.servings.pop(rid, None)
        if serving is None:
            self.send(Released(rid))  # it has ended by itself meanwhile
            return
        self._outgoing = [item for item in self._outgoing if item[0] != rid]
        serving.cancel()
