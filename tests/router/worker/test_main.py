"""The worker as the process that it is: its socket, its imports, and how it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.errors import EngineDead
from hoonify_router.protocol import Drain, Load, LoadFailed, Ready
from hoonify_router.types import ChatRequest, Message

ECHO = "hoonify_backends.echo.engine:EchoEngine"


def ask(content: str) -> ChatRequest:
    return ChatRequest("echo", [Message("user", content)])


class Worker:
    """A worker process and the supervisor's connection to it."""

    def __init__(self, process: asyncio.subprocess.Process, path: Path) -> None:
        self.process = process
        self.path = path
        self.outcome: asyncio.Future[Any] = asyncio.Future()
        self.connections: list[WorkerConnection] = []

    async def connect(self, role: Any = "supervisor") -> WorkerConnection:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(EngineDead):
                    connection = await WorkerConnection.open(self.path, role, self._hear)
                    self.connections.append(connection)
                    return connection
                await asyncio.sleep(0.01)

    async def load(self, **options: Any) -> WorkerConnection:
        connection = await self.connect()
        connection.send(Load(options))
        await self.outcome
        return connection

    async def ended(self) -> int:
        async with asyncio.timeout(60):
            return await self.process.wait()

    def _hear(self, frame: Any) -> None:
        if isinstance(frame, Ready | LoadFailed) and not self.outcome.done():
            self.outcome.set_result(frame)


@pytest.fixture
async def start_worker(private_dir: Path) -> AsyncIterator[Any]:
    """``await start_worker(engine)``: a worker in a process group of its own."""
    workers: list[Worker] = []

    async def start(engine: str = ECHO, **environment: str) -> Worker:
        path = private_dir / f"{len(workers)}.sock"
        command = [sys.executable, "-m", "hoonify_router.worker"]
        command += ["--socket", str(path), "--engine", engine, "--home", "test"]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **environment},
        )
        workers.append(Worker(process, path))
        return workers[-1]

    yield start
    for worker in workers:
        for connection in worker.connections:
            connection.close()
        if worker.process.returncode is None:
            os.killpg(worker.process.pid, signal.SIGKILL)
        await worker.process.communicate()


async def test_a_worker_serves_and_leaves(start_worker: Any, sink: Any) -> None:
    """Load, one answer, drain, exit 0; the socket is for this user alone."""
    worker = await start_worker()
    connection = await worker.load()
    assert stat.S_IMODE(worker.path.stat().st_mode) == 0o600
    heard = sink(connection)
    heard.rid = connection.submit(ask("really there"), heard)
    await heard.ended.wait()
    assert heard.text == "really there"
    connection.send(Drain(1))
    assert await worker.ended() == 0
    assert await worker.process.stderr.read() == b""


async def test_a_worker_that_cannot_load_says_so_and_exits(start_worker: Any) -> None:
    """The frame arrives before the process is gone."""
    worker = await start_worker("hoonify_backends.echo.engine:NoSuchEngine")
    await worker.load()
    assert "NoSuchEngine" in worker.outcome.result().message
    assert await worker.ended() == 1


async def test_sigterm_fails_what_runs_truthfully(start_worker: Any, sink: Any) -> None:
    """Not as a cut connection."""
    worker = await start_worker()
    connection = await worker.load()
    heard = sink(connection)
    heard.rid = connection.submit(ask("a b [[hang after 1]]"), heard)
    await heard.first.wait()
    worker.process.terminate()
    await heard.ended.wait()
    assert isinstance(heard.error, EngineDead)
    assert "stopped" in heard.error.message
    assert await worker.ended() == 0


async def test_sigterm_ends_a_load_at_once(start_worker: Any) -> None:
    """There is nothing to save."""
    worker = await start_worker()
    connection = await worker.connect()
    connection.send(Load({"load_delay": 1000}))
    worker.process.terminate()
    assert await worker.ended() in (-signal.SIGKILL, -signal.SIGTERM)


@pytest.mark.parametrize("busy", ["", "[[block 60]]"], ids=["idle", "blocked"])
async def test_the_death_pipe_ends_the_whole_group(
    start_worker: Any, sink: Any, busy: str, tmp_path: Path
) -> None:
    """Within a second, children of the engine included, also while the engine blocks the loop."""
    (tmp_path / "parental.py").write_text(
        textwrap.dedent(
            """
            import subprocess
            from hoonify_backends.echo.engine import EchoEngine

            class ParentEngine(EchoEngine):
                async def load(self, options, progress):
                    await super().load(options, progress)
                    self.child = subprocess.Popen(["sleep", "1000"])
                @property
                def capabilities(self):
                    told = super().capabilities
                    told.details["child"] = str(self.child.pid)
                    return told
            """
        )
    )
    worker = await start_worker("parental:ParentEngine", PYTHONPATH=str(tmp_path))
    connection = await worker.load()
    child = int(worker.outcome.result().capabilities.details["child"])
    if busy:
        connection.submit(ask(busy), sink())
    os.kill(child, 0)
    worker.process.stdin.close()
    async with asyncio.timeout(60):
        assert await worker.process.wait() == -signal.SIGKILL
        while _alive(child):  # noqa: ASYNC110 - it is no child of ours
            await asyncio.sleep(0.01)


def _alive(pid: int) -> bool:
    """Tell whether a process still runs; a zombie that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_killed_worker_fails_its_requests(start_worker: Any, sink: Any) -> None:
    """SIGKILL in mid-stream reaches the sink as a dead engine."""
    worker = await start_worker()
    connection = await worker.load()
    heard = sink(connection)
    heard.rid = connection.submit(ask("a b [[crash after 1]]"), heard)
    await heard.ended.wait()
    assert heard.text == "a"
    assert isinstance(heard.error, EngineDead)
    assert await worker.ended() == -signal.SIGKILL


def test_the_folder_of_the_socket_must_be_private(tmp_path: Path) -> None:
    """Anyone could talk to the engine otherwise."""
    tmp_path.chmod(0o755)
    command = [sys.executable, "-m", "hoonify_router.worker"]
    command += ["--socket", str(tmp_path / "s"), "--engine", ECHO, "--home", "test"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.wait(10) == 2
        assert process.stderr is not None
        assert b"must be private" in process.stderr.read()


def test_the_worker_imports_nothing_heavy() -> None:
    """An engine's environment may lack everything but msgspec and pluggy."""
    code = """
        import sys

        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {"sanic", "rich", "yaml", "uvloop"}:
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Missing())
        import hoonify_router.worker.__main__ as main
        from hoonify_router.worker.loading import find_engine
        find_engine("hoonify_backends.echo.engine:EchoEngine")
        main._loop_factory()().close()
        print(sorted(m for m in ("sanic", "rich", "yaml", "torch", "numpy") if m in sys.modules))
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
