"""The controller of a home that is a server which the router starts: every effect, no policy."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from hoonify_router.adapters.fetch import Fetched, fetch
from hoonify_router.adapters.origin import Origin
from hoonify_router.adapters.pool import Pool
from hoonify_router.adapters.upstream import UpstreamError
from hoonify_router.api import Launch, LaunchSite, ServerBackend
from hoonify_router.supervisor import guard, lifecycle
from hoonify_router.supervisor.engine_home import CRASHED, NO_MEMORY, NOT_LOADED, EngineHome
from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.launch_draw import HOST, Draw
from hoonify_router.supervisor.lifecycle import Limits, Trouble
from hoonify_router.supervisor.plan import HomePlan
from hoonify_router.supervisor.probe import listed, missing
from hoonify_router.supervisor.process import EngineProcess
from hoonify_router.types import Health, HomeView, Task

_READY_INTERVAL = 0.1
_READY_TIMEOUT = 10.0
_LOOK_INTERVAL = 1.0
_MOVES_INTERVAL = 30.0
_TRIES = 5  # ports that are drawn before a taken one counts as a failure
_PATIENCE = 4.0  # a server's own loop may be busy for longer than a worker's thread that tells its heartbeat
_TAKEN = re.compile(
    r"address already in use|port \d+ is (already )?in use|port is already in use|EADDRINUSE", re.I
)
_NO_ROOM = re.compile(r"CUDA out of memory|OutOfMemoryError|not enough memory", re.I)

_WARM_UPS: tuple[tuple[Task, str, dict[str, object]], ...] = (
    (
        "chat",
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1},
    ),
    ("completion", "/v1/completions", {"prompt": "Hello", "max_tokens": 1}),
    ("embedding", "/v1/embeddings", {"input": "Hello"}),
)


class LaunchedHome(EngineHome):
    """Starts a server on a port and with a key of its own, warms it up, watches, restarts and stops it.

    Args:
        plan: What it should be.
        on_change: Called when what is published of it has changed.
        private: Folder for the files of its server, which nobody else may enter.
    """

    def __init__(self, plan: HomePlan, on_change: Callable[[Home], None], private: Path) -> None:
        super().__init__(plan, on_change)
        assert isinstance(plan.backend, ServerBackend)
        self._backend = plan.backend
        self._private = private
        self._launch = Launch(())
        self._draw: Draw | None = None
        self._key = ""
        self._pool: Pool | None = None
        self._moved_at = 0.0

    @property
    def view(self) -> HomeView:
        """Return what gateways may know of it now; its key is drawn anew for each start."""
        return msgspec.structs.replace(super().view, api_key=self._key)

    @property
    def _limits(self) -> Limits:
        limits = self.plan.limits
        return dataclasses.replace(limits, heartbeat_timeout=limits.heartbeat_timeout * _PATIENCE)

    @property
    def served_name(self) -> str:
        """Return the model's name as the server knows it."""
        return self._launch.served_name

    # ------------------------------------------------------------ coming up

    async def _bring_up(self) -> None:
        launch = self._launch = self._planned()
        self.grace = launch.grace
        for left in reversed(range(_TRIES)):
            process = self._process = await self._spawn(launch)
            if self.life.state == "starting":
                self._set(lifecycle.connected(self.life, self._loop.time()))
            try:
                await self._guarded(self._served())
                break
            except Trouble:
                if not left or not process.exited.done() or not _TAKEN.search(process.tail):
                    raise
                self._let_go()
                await self._end(process, 0.0)
        self._progressed("warming up")
        await self._guarded(self._warm_up())
        assert self._pool is not None
        self.capabilities = launch.capabilities
        self.address = f"http://{self._pool.origin.authority}/v1"
        self._moved_at = self._loop.time()

    def _planned(self) -> Launch:
        backend, plan = self._backend, self.plan
        assert backend.launch is not None
        options = msgspec.convert(plan.options, backend.options)
        site = LaunchSite(plan.model, plan.interpreter, plan.base_dir)
        return backend.launch(options, plan.home, site)

    async def _spawn(self, launch: Launch) -> EngineProcess:
        try:
            draw = self._draw = Draw.of(launch, self._private)
        except OSError as exc:
            raise Trouble(NOT_LOADED, f"its server's files cannot be written: {exc}") from exc
        self._key = draw.key
        self._pool = Pool(Origin(HOST, draw.port, tls=False))
        command = [draw.fill(part) for part in launch.command]
        variables = {name: draw.fill(value) for name, value in launch.env.items()}
        guarded = [sys.executable, "-I", "-S", str(Path(guard.__file__)), "--", *command]
        try:
            return await EngineProcess.start(
                guarded,
                self.plan.id,
                self.plan.base_dir,
                {**self.plan.variables, **variables},
                on_line=self._read,
                secret=draw.key,
            )
        except OSError as exc:
            raise Trouble(NOT_LOADED, f"{command[0]} cannot be started: {exc}") from exc

    def _read(self, line: str) -> None:
        """Take a line of its output."""
        if self.life.state == "loading" and (step := self._launch.read_progress(line)):
            self._progressed(*step)

    async def _served(self) -> None:
        """Wait until it is ready, and is the one that we have started: it takes our key and has the model."""
        name = self.served_name or self.plan.model
        while True:
            if await self._ask(self._launch.ready_path, _READY_TIMEOUT) == 200:
                answer = await self._fetch("/v1/models", _READY_TIMEOUT)
                if answer is not None and answer.status == 200:
                    served = listed(answer.body)
                    if not missing(name, served):
                        return
            await asyncio.sleep(_READY_INTERVAL)

    async def _warm_up(self) -> None:
        """Ask for as little as can be, as a client would."""
        assert self._pool is not None
        can = self._launch.capabilities
        tasks = self._backend.tasks if can is None else can.tasks
        path, body = next((path, body) for task, path, body in _WARM_UPS if task in tasks)
        whole = msgspec.json.encode({"model": self.served_name or self.plan.model, **body})
        try:
            status, said = await fetch(self._pool, path, api_key=self._key, body=whole)
        except UpstreamError as exc:
            raise Trouble("Its engine failed its first answer.", f"warm-up: {exc}") from exc
        if status != 200:
            told = said[:400].decode("utf-8", "replace").replace(self._key, "...")
            raise Trouble("Its engine failed its first answer.", f"warm-up: {status}: {told}")

    # ------------------------------------------------------------ while it serves

    async def _until_lost(self) -> None:
        """Look at it again and again: whether it answers, how busy it is, whether its engine moves."""
        moves = asyncio.create_task(self._watch_moves()) if self._launch.moves_path else None
        load = self._backend.load
        try:
            while True:
                patience = self._limits.heartbeat_timeout
                path = self._launch.ready_path if load is None else load.path
                answer = await self._fetch(path, patience)
                if answer is not None:
                    health = load.read(answer.body) if load and answer.status == 200 else None
                    age = self._loop.time() - self._moved_at if moves is not None else 0.0
                    health = health or Health()
                    still = age > _MOVES_INTERVAL * 2
                    self._heard(msgspec.structs.replace(health, step_age=age if still else 0.0))
                await asyncio.sleep(_LOOK_INTERVAL)
        finally:
            if moves is not None:
                moves.cancel()

    async def _watch_moves(self) -> None:
        """Note when the engine has last shown that it makes progress."""
        while True:
            if await self._ask(self._launch.moves_path, _MOVES_INTERVAL) == 200:
                self._moved_at = self._loop.time()
                await asyncio.sleep(_MOVES_INTERVAL)
            else:
                await asyncio.sleep(_LOOK_INTERVAL)

    async def _ask(self, path: str, patience: float) -> int:
        answer = await self._fetch(path, patience)
        return 0 if answer is None else answer.status

    async def _fetch(self, path: str, patience: float) -> Fetched | None:
        """Return what the server says; ``None`` where it says nothing in time."""
        assert self._pool is not None
        try:
            async with asyncio.timeout(patience):
                return await fetch(self._pool, path, api_key=self._key)
        except (TimeoutError, UpstreamError):
            return None

    # ------------------------------------------------------------ going down

    async def _drain(self, process: EngineProcess) -> None:
        """Let it finish what runs; one that drains by itself ends then."""
        if self._launch.drains:
            process.terminate()
            in_no_hurry = not self._stop_asked.done()
            await self._exit_within(process)
            if in_no_hurry and self._stop_asked.done():  # it was told to be quicker
                await self._exit_within(process)
            return
        load = self._backend.load
        began = self._loop.time()
        while load is not None and not process.exited.done():
            left = began + self.drain_patience - self._loop.time()
            answer = await self._fetch(load.path, left) if left > 0 else None
            health = load.read(answer.body) if answer is not None else None
            if health is None or not (health.running or health.queued):
                return
            await asyncio.sleep(_READY_INTERVAL)

    def _let_go(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        if self._draw is not None:
            self._draw.discard()
            self._draw = None
        self._key = ""

    async def _end(self, process: EngineProcess, grace: float) -> None:
        await process.end(grace, alone=True)

    async def _bury(self, trouble: Trouble) -> None:
        tail = self._process.tail if self._process is not None else ""
        if trouble.reason in (NOT_LOADED, CRASHED) and _NO_ROOM.search(tail):
            loading = self.life.state != "ready"
            told = NO_MEMORY if loading else "Its engine ran out of memory."
            trouble = Trouble(told, trouble.detail)
        await super()._bury(trouble)
