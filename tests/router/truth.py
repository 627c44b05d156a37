"""A whole gateway around one request: a client that may leave or lag, and what it must read in the end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.router.doubles import Wire, config, home
from tests.router.reading import Kind, Read, read_chat, read_stream, read_text

from hoonify_router.adapters.base import Adapter
from hoonify_router.api import RequestContext
from hoonify_router.catalog import Catalog
from hoonify_router.gateway import Gateway
from hoonify_router.reply import Reply
from hoonify_router.types import Capabilities, RoutingTable

ALL = frozenset({"n", "logprobs", "top_logprobs", "tools"})
PATHS = {"chat": "/v1/chat/completions", "completion": "/v1/completions"}


class Visit:
    """One request on its way through a gateway whose adapter the test plays.

    Args:
        adapter: Speaks to the only home.
        kind: What is asked for.
        choices: How many answers.
        stream: Whether they come as events.
        with_usage: Whether the client wants usage in its stream.
        address: Where the home is.
    """

    def __init__(
        self,
        adapter: Adapter,
        kind: Kind,
        *,
        choices: int = 1,
        stream: bool = True,
        with_usage: bool = False,
        address: str = "http://127.0.0.1:1/v1",
    ) -> None:
        self.kind = kind
        self.choices = choices
        self.stream = stream
        self.with_usage = with_usage and stream
        self.wire = Wire()
        self.left = False
        settings = config()
        self.gateway = Gateway(settings, [], {"worker": adapter}, Catalog(settings, {}))
        can = Capabilities(ALL, 4096, tasks=frozenset({"chat", "completion"}))
        self.gateway.on_table(RoutingTable(1, (home(capabilities=can, address=address),)))
        body: dict[str, Any] = {"model": "parrot", "n": choices, "stream": stream}
        if self.with_usage:
            body["stream_options"] = {"include_usage": True}
        if kind == "chat":
            body["messages"] = [{"role": "user", "content": "hi"}]
        else:
            body["prompt"] = "hi"
        self.ctx = RequestContext(
            request_id="req-1",
            method="POST",
            path=PATHS[kind],
            headers={"content-type": "application/json"},
            remote="127.0.0.1",
            started=time.perf_counter(),
            body=json.dumps(body).encode(),
        )
        self.reply = Reply(self.wire, self.ctx.response_headers)
        self.task = asyncio.ensure_future(self.gateway.pipeline.infer(self.ctx, self.reply, kind))

    # ------------------------------------------------------------ what a client may do

    def leave(self) -> None:
        """Hang up; the door cancels the handler then."""
        if not self.task.done():
            self.left = self.wire.closing = True
            self.reply.lost()
            self.task.cancel()

    def ping(self) -> None:
        """Let time pass."""
        if self.stream and not self.task.done():
            self.reply.ping()

    async def over(self) -> None:
        """Wait for the end of the request."""
        if self.left:
            await asyncio.wait([self.task])
            self.reply.released()  # as an engine says when it has stopped
            await turns()
        else:
            async with asyncio.timeout(60):
                await self.task

    # ------------------------------------------------------------ what must be true then

    def read(self) -> Read:
        """Return what the client reads; it must be a legal answer to its end."""
        wire = self.wire
        if wire.headers["content-type"].startswith("text/event-stream"):
            assert self.stream
            assert wire.status == 200
            assert wire.data.endswith(b"\r\n0\r\n\r\n")
            read = read_stream(wire.body, self.with_usage, self.kind)
            assert (read.error is None) == (set(read.finishes) == set(range(self.choices)))
            assert (read.usage is not None) <= (read.error is None)
            return read
        assert int(wire.headers["content-length"]) == len(wire.body)
        told = wire.json
        if wire.status != 200:
            assert set(told) == {"error"}
            assert set(told["error"]) == {"message", "type", "param", "code"}
            return Read(error=told["error"])
        assert not self.stream
        read = Read(usage=told.get("usage"))
        if self.kind == "chat":
            for choice in read_chat(wire.body).choices:
                message = choice.message
                read.texts[choice.index] = message.content or ""
                read.thoughts[choice.index] = getattr(message, "reasoning_content", None) or ""
                read.finishes[choice.index] = choice.finish_reason
                calls: Any = message.tool_calls
                if calls:
                    read.calls[choice.index] = [
                        [call.id, call.function.name, call.function.arguments] for call in calls
                    ]
        else:
            for text in read_text(wire.body).choices:
                read.texts[text.index] = text.text
                read.finishes[text.index] = text.finish_reason
        assert set(read.finishes) == set(range(self.choices))
        return read

    def check_that_nothing_is_left(self) -> None:
        """Every counter is back at zero, whatever has happened."""
        assert self.task.done()
        assert not self.gateway.pipeline._departure.running
        assert not self.gateway._pulse._replies
        assert self.reply._call is None
        assert self.reply._on_lost is None
        for model in self.gateway.catalog.models():
            assert [place.in_flight for place in model.places.values()] == [0]


async def turns(count: int = 3) -> None:
    """Let everything happen that is due."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(play: Callable[[], Awaitable[None]]) -> None:
    """Run one example in a loop of its own; no task of it may be left."""

    async def main() -> None:
        await play()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    asyncio.run(main())
