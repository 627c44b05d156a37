"""A real server that dies at any byte, and a client that leaves at any: no connection stays in use."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.router.reading import Kind
from tests.router.truth import Visit

from hoonify_router.adapters.server import ServerAdapter

from .conftest import Session, Upstream

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def wire(kind: Kind) -> bytes:
    """Return a whole answer as it stands on the wire."""
    said: list[dict[str, Any]] = [{"content": text} for text in ("Once ", "upon", ' a "time"')]
    bodies = [
        {
            "id": "x",
            "model": "y",
            "choices": [
                {"index": 0, "delta": delta, "text": delta.get("content", ""), "finish_reason": end}
            ],
        }
        for delta, end in [*((delta, None) for delta in said), ({}, "stop")]
    ]
    events = [b"data: %b\n\n" % json.dumps(body).encode() for body in bodies]
    events.append(b"data: [DONE]\n\n")
    return HEAD + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in events) + b"0\r\n\r\n"


@pytest.mark.parametrize("kind", ["chat", "completion"])
@pytest.mark.parametrize("how", ["close", "reset", "leave", "stay"])
async def test_wherever_it_breaks_nothing_stays_in_use(
    upstream: Upstream, kind: Kind, how: str
) -> None:
    """And the client reads an end that is true, if it is still there."""
    data = wire(kind)
    ends = [*range(0, len(data), 83), len(data) - 1, len(data)]
    sent = asyncio.Event()
    go_on = asyncio.Event()
    place = 0

    async def script(session: Session) -> None:
        while True:
            await session.request()
            await session.send(data[:place])
            sent.set()
            if how in ("close", "reset") and place < len(data):
                await go_on.wait()
                getattr(session, how)()
                return
            if how in ("stay", "leave") and place < len(data):
                await go_on.wait()
                await session.send(data[place:])

    upstream.script = script
    adapter = ServerAdapter()
    for place in ends:
        sent.clear()
        go_on.clear()
        visit = Visit(adapter, kind, address=upstream.url)
        await asyncio.wait(
            [asyncio.ensure_future(sent.wait()), visit.task], return_when="FIRST_COMPLETED"
        )
        if how == "leave":
            visit.leave()
        go_on.set()
        await visit.over()
        if not visit.left:
            clean = how == "stay" or b"[DONE]\n\n" in data[:place]
            assert (visit.read().error is None) == clean
        visit.check_that_nothing_is_left()
        (target,) = adapter._targets.values()
        pool = target.pool
        async with asyncio.timeout(60):  # the body may end after the answer
            while pool._connecting or any(one.exchange for one in pool._all):  # noqa: ASYNC110
                await asyncio.sleep(0)
    await adapter.close()
