"""One small answer of a server, whole: its list of models, its load, its first words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from hoonify_router.adapters.pool import Pool
from hoonify_router.adapters.upstream import BadAnswer, UpstreamError

MAX_BYTES = 1024 * 1024


class Fetched(NamedTuple):
    """What a server said.

    Args:
        status: Of the answer.
        body: What it says.
    """

    status: int
    body: bytes


async def fetch(pool: Pool, path: str, *, api_key: str = "", body: bytes | None = None) -> Fetched:
    """Ask a server with ``GET``, or with ``POST`` where there is a body, and wait for the whole answer.

    It has no limit of time; whoever waits may be cancelled.

    Args:
        pool: Connections to it.
        path: From its root.
        api_key: Its key.
        body: JSON.

    Raises:
        UpstreamError: It cannot be reached, or does not answer to the end.
    """
    collector = _Collector()
    exchange = pool.send(request(pool, path, api_key=api_key, body=body), collector)
    try:
        return await collector.answer
    finally:
        exchange.cancel()


def request(pool: Pool, path: str, *, api_key: str = "", body: bytes | None = None) -> bytes:
    """Return head and body of a small request."""
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1"]
    lines += [f"host: {pool.origin.authority}", "user-agent: hoonify-router"]
    lines.append("accept: application/json")
    if api_key:
        lines.append(f"authorization: Bearer {api_key.strip()}")
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + (body or b"")


class _Collector:
    """Takes the answer."""

    relay: Callable[[bytes], int] | None = None

    def __init__(self) -> None:
        self.answer: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._pieces: list[bytes] = []
        self._size = 0

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """Note the status."""
        self._status = status

    def on_body(self, data: bytes) -> None:
        """Keep what comes, but not without end."""
        self._size += len(data)
        if self._size > MAX_BYTES:
            self.on_error(BadAnswer("it is too long"))
        self._pieces.append(data)

    def on_end(self) -> None:
        """It is complete."""
        if not self.answer.done():
            self.answer.set_result(Fetched(self._status, b"".join(self._pieces)))

    def on_error(self, error: UpstreamError) -> None:
        """It will never be."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Ignored:
    """Takes an answer that nobody wants."""

    relay: Callable[[bytes], int] | None = None

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """Nothing."""

    def on_body(self, data: bytes) -> None:
        """Nothing."""

    def on_end(self) -> None:
        """Nothing."""

    def on_error(self, error: UpstreamError) -> None:
        """Nothing."""
