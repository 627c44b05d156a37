"""``python -m benchmarks.yardstick PORT UPSTREAM``: a proxy of fixed cost that others are held against.

It passes bytes on between each client's connection and one of its own to the upstream, by asyncio alone, and does a fixed
piece of pure Python with each piece of data that comes, which also looks at memory here and there. So a faster machine, a busier one,
and one whose caches are always cold (on which a gateway costs three times as much) change its cost as they change the cost of
any gateway in Python; a new release of some package does not.
"""

from __future__ import annotations

import asyncio
import json
import sys

_BODY = json.dumps(
    {
        "model": "bench-model",
        "messages": [{"role": "user", "content": "Tell me about the quick brown fox. " * 5}],
        "max_tokens": 16,
        "temperature": 0.7,
        "stream": False,
    }
)


_APART = 4096 + 64  # each on a page of its own, and not all in the same lines of a cache
_MEMORY = bytearray(3000 * _APART)
"""A gateway comes by much code and many objects with each request; this stands for them."""


def work() -> str:
    """Read a body, look at it, count, and write an answer, as a gateway might."""
    sum(_MEMORY[::_APART])
    asked = json.loads(_BODY)
    counts: dict[str, int] = {}
    for message in asked["messages"]:
        for word in message["content"].split():
            counts[word] = counts.get(word, 0) + 1
    fields = [f"{name}={value}" for name, value in asked.items() if name != "messages"]
    return json.dumps({"id": "req-1", "text": ";".join(fields), "usage": counts})


class _Side(asyncio.Protocol):
    """One end of a pair of connections; what comes before the other end stands is kept."""

    def __init__(self) -> None:
        self.other: _Side | None = None
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        for data in self._early:
            transport.write(data)
        self._early.clear()

    def data_received(self, data: bytes) -> None:
        work()
        if self.other is not None:
            self.other.send(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other._transport is not None:
            self.other._transport.close()

    def send(self, data: bytes) -> None:
        if self._transport is None:
            self._early.append(data)
        else:
            self._transport.write(data)


async def listen(port: int, upstream: int) -> asyncio.Server:
    """Return a server that passes on what comes to a port."""
    loop = asyncio.get_running_loop()
    connecting: set[asyncio.Task[object]] = set()

    def accept() -> _Side:
        client, server = _Side(), _Side()
        client.other, server.other = server, client
        task = loop.create_task(loop.create_connection(lambda: server, "127.0.0.1", upstream))
        connecting.add(task)
        task.add_done_callback(connecting.discard)
        return client

    return await loop.create_server(accept, "127.0.0.1", port, backlog=1024)


async def serve(port: int, upstream: int) -> None:
    """Pass on until the process is ended."""
    await (await listen(port, upstream)).serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
