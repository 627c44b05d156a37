"""A backend for an engine that speaks a binary protocol of its own over TCP.

Each frame is a kind (one byte), a length (four bytes, big-endian) and that many bytes:

    P prompt, UTF-8      ->
                         <-  T piece of the answer, UTF-8
                         <-  E end: tokens of prompt and answer, two numbers of four bytes
                         <-  X the prompt is too long
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Annotated

from msgspec import Meta, Struct

from hoonify_router.api import Backend, Engine, ProgressCallback, WorkerBackend, hookimpl
from hoonify_router.errors import ContextLengthExceeded, EngineDead, RouterError
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    Counted,
    Event,
    Finish,
    Text,
    TextPart,
    Usage,
)

HEAD = struct.Struct(">cI")
COUNTS = struct.Struct(">II")


class TCPOptions(Struct, forbid_unknown_fields=True):
    """What `options:` may say."""

    port: Annotated[int, Meta(description="Port of the engine.", ge=1, le=65535)]
    host: Annotated[str, Meta(description="Where the engine runs.")] = "127.0.0.1"


class TCPEngine(Engine[TCPOptions]):
    """Passes prompts on; each request has a connection of its own."""

    options_type = TCPOptions

    async def load(self, options: TCPOptions, progress: ProgressCallback) -> None:
        """See that the engine is there."""
        progress("looking for the engine", 0, 1)
        self._options = options
        try:
            _, writer = await asyncio.open_connection(options.host, options.port)
        except OSError as error:
            raise RouterError(f"the engine at {options.host}:{options.port}: {error}") from error
        writer.close()

    @property
    def capabilities(self) -> Capabilities:
        """It takes a prompt, and nothing else."""
        return Capabilities(frozenset(), context_length=4096, slots=16, device="elsewhere")

    async def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
        """Send the conversation as one text, pass the pieces on."""
        reader, writer = await asyncio.open_connection(self._options.host, self._options.port)
        try:  # a client that leaves ends this too: the engine sees the connection close
            prompt = _as_text(request).encode()
            writer.write(HEAD.pack(b"P", len(prompt)) + prompt)
            while True:
                kind, size = HEAD.unpack(await reader.readexactly(HEAD.size))
                data = await reader.readexactly(size)
                if kind == b"T":
                    yield Text(data.decode())
                elif kind == b"E":
                    yield Finish("stop")
                    yield Counted(Usage(*COUNTS.unpack(data)))
                    return
                elif kind == b"X":
                    raise ContextLengthExceeded("The prompt is too long.", param="messages")
                else:
                    raise EngineDead("The model's engine speaks another protocol.")
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise EngineDead("The model's engine has closed the connection.") from error
        finally:
            writer.close()


def _as_text(request: ChatRequest) -> str:
    lines = []
    for message in request.messages:
        content = message.content or ""
        if isinstance(content, list):
            content = "".join(part.text for part in content if isinstance(part, TextPart))
        lines.append(f"{message.role}: {content}")
    return "\n".join(lines)


@hookimpl
def hoonify_register_backends() -> list[Backend]:
    """Register the backend."""
    summary = "An engine that speaks a binary protocol of its own."
    return [
        WorkerBackend("binary_protocol", summary, TCPOptions, "hoonify_binary_protocol:TCPEngine")
    ]
