"""Our engine as it is served: in a worker process behind its socket, and behind the whole router."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.engines.ways import STREAMS, TOKENS, Setting, Way, chat, question
from benchmarks.native import CannotMeasure
from benchmarks.processes import Tree, free_port, spent
from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.errors import EngineDead, RouterError
from hoonify_router.protocol import Load, LoadFailed, Ready
from hoonify_router.types import ChatRequest, Counted, Event

_MODEL = "tiny"
_ENGINE = "hoonify_backends.onnxruntime.engine:OnnxEngine"
_PATIENCE = 60.0


class Sink:
    """Takes an answer's events as a gateway does, and forgets them."""

    def __init__(self, connection: WorkerConnection, request: ChatRequest) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._number = connection.submit(request, self)

    def on_events(self, events: Sequence[Event]) -> None:
        self._connection.grant(self._number, len(events))
        if type(last := events[-1]) is Counted:
            assert last.usage.completion_tokens == TOKENS
            self.done.set_result(None)

    def on_failure(self, error: RouterError) -> None:
        self.done.set_exception(error)


class BehindSocket(Way):
    """Our engine in a worker process, asked over its Unix socket."""

    name = "our worker, by its socket"

    def __init__(self, setting: Setting, folder: Path) -> None:
        super().__init__(setting)
        self._folder = folder

    async def open(self) -> None:
        socket = self._folder / "worker.sock"
        command = [sys.executable, "-m", "hoonify_router.worker", "--socket", str(socket)]
        with (self._folder / "worker.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                [*command, "--engine", _ENGINE, "--home", "bench"],
                stdin=subprocess.PIPE,  # its end is the worker's end
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def hear(frame: Any) -> None:
            if isinstance(frame, Ready) and not ready.done():
                ready.set_result(None)
            elif isinstance(frame, LoadFailed) and not ready.done():
                ready.set_exception(CannotMeasure(f"the worker does not load: {frame}"))

        async with asyncio.timeout(_PATIENCE):
            self._supervisor = await self._connect(socket, "supervisor", hear)
            options = {"model": str(self.setting.model), "provider": "cpu", "slots": max(STREAMS)}
            self._supervisor.send(Load({**options, **self.setting.options}))
            await ready
            self._connection = await self._connect(socket, "gateway", None)

    async def _connect(self, socket: Path, role: Any, hear: Any) -> WorkerConnection:
        while True:
            with contextlib.suppress(EngineDead):
                return await WorkerConnection.open(socket, role, hear)
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        self._connection.close()
        self._supervisor.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.to_thread(self._process.wait, 10)

    async def answer(self, streams: int, wishes: dict[str, Any]) -> None:
        sinks = [Sink(self._connection, chat(stream, wishes)) for stream in range(streams)]
        await asyncio.gather(*(sink.done for sink in sinks))

    def cpu(self) -> float:
        return time.clock_gettime((~self._process.pid << 3) | 2)  # Linux's id of its CPU clock


class WholeRouter(Way):
    """A real ``hoonify-router serve`` with the shipped pipeline but for keys, asked over HTTP."""

    name = "our router, by HTTP"

    def __init__(self, setting: Setting, folder: Path) -> None:
        super().__init__(setting)
        self._folder = folder

    async def open(self) -> None:
        self._port = free_port()
        options = {"model": str(self.setting.model), "provider": "cpu", "slots": max(STREAMS)}
        config = {
            "server": {"host": "127.0.0.1", "port": self._port, "allow_anonymous": True},
            "pipeline": ["usage", "metrics", "openai_errors"],
            "models": {
                _MODEL: {
                    "provider": "Bench",
                    "context_length": 1024,
                    "backend": "onnxruntime",
                    "options": {**options, **self.setting.options},
                    "start": "always",
                }
            },
        }
        path = self._folder / "router.yaml"
        path.write_text(json.dumps(config))
        self._tree = Tree(
            [sys.executable, "-m", "hoonify_router", "serve", "--config", str(path)],
            frozenset(),
            self._folder / "router.log",
            {"HOONIFY_STATE_DIR": str(self._folder / "state")},
        )
        try:
            await asyncio.to_thread(self._tree.wait_for, f"http://127.0.0.1:{self._port}/ready")
        except CannotMeasure:
            self._tree.stop()
            raise
        self._begun = self._tree.cpu_seconds()

    async def close(self) -> None:
        await asyncio.to_thread(self._tree.stop)

    async def answer(self, streams: int, wishes: dict[str, Any]) -> None:
        await asyncio.gather(*(self._stream(stream, wishes) for stream in range(streams)))

    async def _stream(self, stream: int, wishes: dict[str, Any]) -> None:
        body = {
            "model": _MODEL,
            "messages": [{"role": "user", "content": question(stream)}],
            "max_tokens": TOKENS,
            "ignore_eos": True,
            "stream": True,
            **wishes,
        }
        content = json.dumps(body).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
                b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (len(content), content)
            )
            async with asyncio.timeout(_PATIENCE):
                said = await reader.read(-1)
        finally:
            writer.close()
        if b"data: [DONE]" not in said or b'"error"' in said:
            raise CannotMeasure(f"the router said {said[:500]!r}")

    def cpu(self) -> float:
        return spent(self._begun, self._tree.cpu_seconds())
