"""Stand-ins for what surrounds the pipeline: a transport, homes that the test plays, middleware that notes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from hoonify_router.adapters.base import Adapter, Call, Job
from hoonify_router.answer import Answer
from hoonify_router.api import Middleware, Phase, RequestContext
from hoonify_router.catalog import Catalog
from hoonify_router.config.model import Config, ModelConfig, ServerConfig
from hoonify_router.gateway import Gateway
from hoonify_router.shaping import Shaper
from hoonify_router.types import HomeView, RoutingTable, Usage


class Wire(asyncio.WriteTransport):
    """A client's connection that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closing = False

    @property
    def data(self) -> bytes:
        return b"".join(self.writes)

    @property
    def status(self) -> int:
        return int(self.data[9:12])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.data.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name: value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        """Return the body, out of its chunks if it has some."""
        rest = self.data.partition(b"\r\n\r\n")[2]
        if self.headers.get("transfer-encoding") != "chunked":
            return rest
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
        return body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: Any) -> None:
        assert not self.closing
        self.writes.append(bytes(data))


class Play:
    """One job at a home: the test says what the engine does."""

    def __init__(self, job: Job, answer: Answer) -> None:
        self.job = job
        self.answer = answer
        self.cancelled = 0
        self.paused = False

    def cancel(self) -> None:
        self.cancelled += 1

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def say(self, *texts: str, finish: str = "stop") -> None:
        """Answer to the end."""
        for text in texts:
            self.answer.text(text)
        self.answer.finish(finish)
        self.answer.count(Usage(3, len(texts)))
        self.answer.complete()


Script = Callable[[Play], Awaitable[None] | None]


class Stage(Adapter):
    """An adapter whose homes do what a script says, or wait for the test."""

    kind = "worker"

    def __init__(self, script: Script | None = None) -> None:
        self.script = script
        self.plays: list[Play] = []
        self.started = asyncio.Event()

    async def start(self, job: Job, answer: Answer) -> Call:
        play = Play(job, answer)
        self.plays.append(play)
        self.started.set()
        if self.script is not None:
            waiting = self.script(play)
            if waiting is not None:
                await waiting
        return play

    def update(self, homes: Iterable[HomeView]) -> None:
        """There is nothing to forget."""

    async def close(self) -> None:
        """There is nothing to close."""


class Notes(Middleware):
    """Middleware that writes down when it is called.

    Args:
        name: Its name in the notes.
        diary: Where it writes.
        on_request: What it does with a request.
        on_finally: What it does at the end.
    """

    def __init__(
        self,
        name: str,
        diary: list[str],
        *,
        on_request: Callable[[RequestContext], Awaitable[None] | None] | None = None,
        on_finally: Callable[[RequestContext], Awaitable[None] | None] | None = None,
    ) -> None:
        self.name = name
        self.diary = diary
        self._request = on_request
        self._finally = on_finally

    async def startup(self) -> None:
        self.diary.append(f"{self.name} up")

    async def shutdown(self) -> None:
        self.diary.append(f"{self.name} down")

    def on_request(self, ctx: RequestContext) -> Awaitable[None] | None:
        self.diary.append(f"{self.name} sees")
        return self._request(ctx) if self._request is not None else None

    def on_finally(self, ctx: RequestContext) -> Awaitable[None] | None:
        self.diary.append(f"{self.name} settles")
        return self._finally(ctx) if self._finally is not None else None


def notes(phase: Phase, name: str, diary: list[str], **does: Any) -> Notes:
    """Return a note-taking middleware of a phase."""
    return type("NotesOf", (Notes,), {"phase": phase})(name, diary, **does)  # type: ignore[no-any-return]


def home(model: str = "parrot", **more: Any) -> HomeView:
    """Return a home that is ready."""
    given = {
        "id": model,
        "model": model,
        "backend": "echo",
        "kind": "worker",
        "state": "ready",
        "address": "/run/x.sock",
        **more,
    }
    return HomeView(**given)


def config(*models: str, **server: Any) -> Config:
    """Return a configuration with these models."""
    entries = {name: ModelConfig("Nobody", 4096, backend="echo") for name in models or ("parrot",)}
    return Config(entries, server=ServerConfig(**server))


def gateway(
    stage: Adapter,
    middleware: Iterable[Middleware] = (),
    homes: Iterable[HomeView] | None = None,
    shaper: Shaper | None = None,
    settings: Config | None = None,
) -> Gateway:
    """Return a gateway without sockets and supervisor, its homes ready."""
    settings = settings or config()
    in_order = sorted(middleware, key=lambda one: one.phase)
    made = Gateway(settings, in_order, {"worker": stage}, Catalog(settings, {}), shaper)
    made.on_table(RoutingTable(1, tuple([home()] if homes is None else homes)))
    return made


def request(body: Any = None, **headers: str) -> RequestContext:
    """Return a request as the route makes it; ``body`` is JSON or bytes."""
    if body is None:
        body = {}
    if isinstance(body, dict):
        told = {"model": "parrot", "messages": [{"role": "user", "content": "hi"}], **body}
        body = json.dumps(told).encode()
    ctx = RequestContext(
        request_id="req-1",
        method="POST",
        path="/v1/chat/completions",
        headers={"content-type": "application/json", **headers},
        remote="127.0.0.1",
        started=time.perf_counter(),
        body=body,
    )
    ctx.response_headers["x-request-id"] = "req-1"
    return ctx
