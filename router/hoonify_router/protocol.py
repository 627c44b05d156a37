"""The frames between an engine worker and those who speak to it, and their wire form.

A frame is four bytes of length (big-endian) and one msgpack object made by msgspec; never pickle. Both
the supervisor and each gateway connect to the worker's unix socket and speak the same protocol:

    client                          worker
    Hello(role)             ->
                            <-      Hello(role="worker")
    Load(options)           ->                                  supervisor only, once
                            <-      Progress ...                to whoever is connected
                            <-      Ready | LoadFailed          told again to whoever connects later
    Generate(rid, request)  ->
    Complete(rid, request)  ->
    Embed(rid, request)     ->
                            <-      Events([(rid, event), ...])
    Credit(rid, events)     ->                                  flow control
    Cancel(rid)             ->
                            <-      Released(rid, usage)        its slot is free
                            <-      Heartbeat(health)           every second
    Drain(deadline)         ->                                  no new requests; then Bye
                            <-      Bye(reason)

``rid`` is a number that the client chooses, unique on its connection while the request lives. A request
may have ``WINDOW`` events on their way; the client grants more as it consumes them, and the worker joins
texts that wait, so that a slow reader costs it neither memory nor speed.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Event,
    Health,
    Usage,
)

PROTOCOL_VERSION = 2
OLDEST_PROTOCOL = PROTOCOL_VERSION - 1
"""A side speaks its own version and the one before, so that workers and routers need not be renewed together.

1: the first. 2: either side says the oldest and the newest version that it speaks; nothing else differs.
"""
MAX_FRAME_BYTES = 64 * 1024 * 1024
WINDOW = 64


class Hello(Struct, tag="hello"):
    """First frame of either side.

    Args:
        role: Who speaks.
        protocol: Of a client, the oldest version that it speaks; of a worker, the one that is spoken from now on.
        version: Of the router's code.
        pid: The process.
        newest: The newest version that it speaks; version 1 did not tell.
    """

    role: Literal["supervisor", "gateway", "worker"]
    protocol: int = OLDEST_PROTOCOL
    version: str = ""
    pid: int = 0
    newest: int = 0


class Load(Struct, tag="load"):
    """Load the engine with the home's options, as the YAML has them (already checked)."""

    options: dict[str, Any]


class Progress(Struct, tag="progress"):
    """How far loading has come; each one resets the supervisor's stall timer."""

    stage: str
    done: int = 0
    total: int = 0


class Ready(Struct, tag="ready"):
    """The engine is loaded; the supervisor warms it up with a request before anyone else may ask."""

    capabilities: Capabilities


class LoadFailed(Struct, tag="load_failed"):
    """The engine could not be loaded; the worker exits after this."""

    kind: str
    message: str


class Generate(Struct, tag="generate"):
    """Serve one chat request."""

    rid: int
    request: ChatRequest


class Complete(Struct, tag="complete"):
    """Serve one request that goes on with a text."""

    rid: int
    request: CompletionRequest


class Embed(Struct, tag="embed"):
    """Serve one request for vectors."""

    rid: int
    request: EmbeddingRequest


class Events(Struct, tag="events"):
    """What has happened since the last frame, for any number of requests, in order."""

    items: list[tuple[int, Event]]


class Credit(Struct, tag="credit"):
    """The client has consumed this many events of the request."""

    rid: int
    events: int


class Cancel(Struct, tag="cancel"):
    """Stop the request; nothing more of it is sent. Unknown numbers are fine: it may just have ended."""

    rid: int


class Released(Struct, tag="released"):
    """The engine is done with a request that was cancelled: its slot is free.

    ``usage`` is what the request has cost until then, ``None`` where that was told before.
    """

    rid: int
    usage: Usage | None = None


class Heartbeat(Struct, tag="heartbeat"):
    """The worker's loop is alive, and this is how its engine does."""

    health: Health


class Drain(Struct, tag="drain"):
    """Take nothing new, finish what runs within ``deadline`` seconds, then leave."""

    deadline: float


class Bye(Struct, tag="bye"):
    """The worker leaves."""

    reason: str = ""


Frame = (
    Hello
    | Load
    | Progress
    | Ready
    | LoadFailed
    | Generate
    | Complete
    | Embed
    | Events
    | Credit
    | Cancel
    | Released
    | Heartbeat
    | Drain
    | Bye
)


def agreed_protocol(hello: Hello) -> int | None:
    """Return the newest version that both sides speak; ``None`` where there is none.

    Args:
        hello: What the client has said.
    """
    agreed = min(max(hello.protocol, hello.newest), PROTOCOL_VERSION)
    return agreed if agreed >= max(hello.protocol, OLDEST_PROTOCOL) else None


class FrameTooLarge(ValueError):
    """A peer announced a frame over ``MAX_FRAME_BYTES``; the connection is of no more use."""


def encode_frame(frame: Struct, encoder: msgspec.msgpack.Encoder) -> bytes:
    """Return ``frame`` with its length before it.

    Raises:
        FrameTooLarge: The frame is over the limit.
    """
    body = encoder.encode(frame)
    if len(body) > MAX_FRAME_BYTES:
        raise FrameTooLarge(f"a frame of {len(body)} bytes is over {MAX_FRAME_BYTES}")
    return len(body).to_bytes(4, "big") + body


class FrameReader:
    """Cuts a byte stream into frames of one type; keeps what is not complete yet.

    Args:
        decoder: A msgspec decoder for the frames that this side may receive.
    """

    def __init__(self, decoder: msgspec.msgpack.Decoder[Any]) -> None:
        self._decode = decoder.decode
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Take received bytes, return the frames that are complete now.

        Raises:
            FrameTooLarge: The next frame is announced over the limit.
            msgspec.DecodeError: A frame is not what the protocol says.
        """
        buffer = self._buffer
        frames: list[Any] = []
        if not buffer:  # most often it is one whole frame
            length = int.from_bytes(data[:4], "big")
            if 4 + length == len(data) and length <= MAX_FRAME_BYTES:
                frames.append(self._decode(data[4:]))
                return frames
        buffer += data
        start, have = 0, len(buffer)
        while have - start >= 4:
            length = int.from_bytes(buffer[start : start + 4], "big")
            if length > MAX_FRAME_BYTES:
                raise FrameTooLarge(f"a frame of {length} bytes is over {MAX_FRAME_BYTES}")
            if have - start - 4 < length:
                break
            frames.append(self._decode(memoryview(buffer)[start + 4 : start + 4 + length]))
            start += 4 + length
        if start:
            del buffer[:start]
        return frames
