"""What a check works with: the home, a door before it, and requests that fit it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.api import WorkerBackend
from hoonify_router.testing.asking import ASKING
from hoonify_router.testing.client import Answer, Pending, Stream, Told, send
from hoonify_router.testing.door import Door
from hoonify_router.testing.homes import (
    HomeUnderTest,
    LaunchedUnderTest,
    ServerHomeUnderTest,
    Worker,
    WorkerProcess,
)
from hoonify_router.testing.records import NotApplicable, Unmet, require
from hoonify_router.testing.sink import Sink
from hoonify_router.testing.subject import Subject
from hoonify_router.types import Capabilities, ChatRequest, InferenceRequest, Task

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
PATHS: dict[Task, str] = {"chat": CHAT, "completion": COMPLETIONS, "embedding": EMBEDDINGS}
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]

RequestT = TypeVar("RequestT", bound=InferenceRequest)


class Bench:
    """Everything that the checks of one backend share.

    Args:
        subject: What is tested.
        patience: Seconds that anything may take that is not said to be quick.
        home: The home, where it is not the subject's own process or server.

    Attributes:
        dead: Why the home does not come to life, once that is known.
        told_dead: Whether a check has failed with it.
    """

    def __init__(
        self, subject: Subject, *, patience: float = 60.0, home: HomeUnderTest | None = None
    ) -> None:
        self.subject = subject
        self.patience = patience
        self._folder: Path | None = None
        self._home = home
        self._door: Door | None = None
        self.dead = ""
        self.told_dead = False
        self._tasks: dict[Task, bool] = {}
        self._probed: dict[str, bool | None] = {}
        self._shown = ""
        self._opening = asyncio.Lock()
        self._lines: list[Pending | Stream] = []

    # ------------------------------------------------------------ the home and the door

    @property
    def folder(self) -> Path:
        """Return a private folder with a short path."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="hoo-"))
        return self._folder

    async def home(self) -> HomeUnderTest:
        """Return the home, alive.

        Raises:
            Unmet: It does not come to life; it is not tried again then.
        """
        if self.dead:
            raise Unmet(f"it does not start: {self.dead}")
        if self._home is None:
            self._home = self._make()
        if not self._home.alive:
            try:
                await self._home.start()
            except Unmet as fault:
                self.dead = str(fault)
                raise
        return self._home

    async def worker(self) -> Worker:
        """Return the home, which is an engine in a worker."""
        home = await self.home()
        assert isinstance(home, Worker)
        return home

    async def process(self) -> WorkerProcess:
        """Return the home, which is an engine in a process of its own."""
        home = await self.home()
        if not isinstance(home, WorkerProcess):
            raise NotApplicable("its engine is in no process of its own here")
        return home

    def new_process(self, **options: Any) -> WorkerProcess:
        """Return one more worker that is not started, with other options."""
        if self._home is not None and not isinstance(self._home, WorkerProcess):
            raise NotApplicable("its engine is in no process of its own here")
        folder = Path(tempfile.mkdtemp(prefix="w", dir=self.folder))
        plan = self.subject.plan
        changed = dataclasses.replace(plan, options={**plan.options, **options})
        return WorkerProcess(changed, folder)

    async def door(self) -> Door:
        """Return an open door before the living home."""
        async with self._opening:
            home = await self.home()
            if self._door is None:
                door = Door(self.subject.plan)
                await door.open()
                self._door = door
        view = home.view
        if self._shown != view.address:
            self._shown = view.address
            self._door.show(view)
        return self._door

    async def close(self) -> None:
        """Leave nothing behind."""
        if self._door is not None:
            await self._door.close()
        if self._home is not None:
            await self._home.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self) -> HomeUnderTest:
        plan = self.subject.plan
        if isinstance(plan.backend, WorkerBackend):
            return WorkerProcess(plan, self.folder)
        if plan.home.url is None:
            return LaunchedUnderTest(plan, self.folder)
        return ServerHomeUnderTest(plan)

    # ------------------------------------------------------------ what it can do

    @property
    def capabilities(self) -> Capabilities | None:
        """Return what the engine has told, if it has."""
        return self._home.capabilities if self._home is not None else None

    async def supports(self, parameter: str) -> bool | None:
        """Return whether the home honours a request field; one that decides itself is asked.

        ``None`` is a field that it neither refuses by name nor takes.
        """
        honoured = await self.parameters()
        if honoured is None:
            if parameter not in self._probed:
                self._probed[parameter] = await self._probe(parameter)
            return self._probed[parameter]
        limits = {"max_tokens", "max_completion_tokens"}
        return parameter in honoured or (parameter in limits and bool(limits & honoured))

    async def _probe(self, parameter: str) -> bool | None:
        body = {"messages": [{"role": "user", "content": "one"}], **ASKING.get(parameter, {})}
        answer = await self.post({k: v for k, v in body.items() if v is not None})
        if answer.status == 200:
            return True
        named = str(answer.error.get("param") or "").startswith(parameter)
        return False if answer.status == 400 and named else None

    async def parameters(self) -> frozenset[str] | None:
        """Return the request fields that the home honours."""
        home = await self.home()
        if home.capabilities is not None:
            return home.capabilities.parameters
        return getattr(self.subject.backend, "parameters", None)

    async def does(self, task: Task) -> bool:
        """Return whether the home does a task: a worker says so, a server is asked."""
        home = await self.home()
        if home.capabilities is not None:
            return task in home.capabilities.tasks
        if task not in self.subject.backend.tasks:
            return False
        if task not in self._tasks:
            field = {"chat": "messages", "completion": "prompt", "embedding": "input"}[task]
            said: Any = "Hello"
            if task == "chat":
                said = [{"role": "user", "content": said}]
            limit = {} if task == "embedding" else await self.limit(1)
            answer = await self.post({field: said, **limit}, PATHS[task])
            self._tasks[task] = answer.status == 200 or task == "chat"
        return self._tasks[task]

    async def context(self) -> int:
        """Return how many tokens prompt and answer may take together; 0 where it is not known."""
        home = await self.home()
        return home.capabilities.context_length if home.capabilities is not None else 0

    async def slots(self) -> int:
        """Return how many requests run at once; 0 where it is not known."""
        home = await self.home()
        return home.capabilities.slots if home.capabilities is not None else 0

    # ------------------------------------------------------------ requests

    async def limit(self, tokens: int) -> dict[str, Any]:
        """Return the field that limits an answer, where the home honours it."""
        return {} if await self.supports("max_tokens") is False else {"max_tokens": tokens}

    async def steady(self) -> dict[str, Any]:
        """Return fields that make equal requests get equal answers, as far as the home honours them."""
        wanted = {"temperature": 0, "seed": 7}
        return {k: v for k, v in wanted.items() if await self.supports(k) is not False}

    async def words(self, count: int = 10) -> str:
        """Return a prompt that an engine can go on with, short enough for its context."""
        context = await self.context()
        count = min(count, context // 8) if context else count
        return " ".join(WORDS[number % len(WORDS)] for number in range(max(count, 1)))

    async def body(self, prompt: str | list[Any] | None = None, **fields: Any) -> dict[str, Any]:
        """Return the body of a chat request, limited to a few tokens unless ``fields`` say otherwise."""
        said = await self.words() if prompt is None else prompt
        messages = said if isinstance(said, list) else [{"role": "user", "content": said}]
        given = {"messages": messages, **await self.limit(16), **fields}
        chosen = {name: value for name, value in given.items() if value is not None}
        return {"model": self.subject.model, **chosen}

    async def long_body(self, **fields: Any) -> dict[str, Any]:
        """Return a chat request whose answer takes as long as an answer of this home can."""
        context = await self.context()
        tokens = min(256, context // 2) if context else 256
        more = {"ignore_eos": True} if await self.supports("ignore_eos") else {}
        return await self.body(await self.words(256), **await self.limit(tokens), **more, **fields)

    async def post(self, body: dict[str, Any] | bytes, path: str = CHAT) -> Answer:
        """Send a request and read its answer."""
        if isinstance(body, dict):
            body = {"model": self.subject.model, **body}
        door = await self.door()
        return await door.ask(body, path)

    async def pend(self, body: dict[str, Any], path: str = CHAT) -> Pending:
        """Send a request whose answer nobody reads yet."""
        pending = await send((await self.door()).port, body, path)
        self._lines.append(pending)
        return pending

    async def ask(self, prompt: Any = None, **fields: Any) -> Answer:
        """Ask for an answer in one piece, which must be one.

        Raises:
            NotApplicable: The home refuses one of ``fields`` by name.
            Unmet: It is an error.
        """
        return await self.good(await self.post(await self.body(prompt, **fields)), fields)

    async def good(self, answer: Answer, fields: dict[str, Any] | None = None) -> Answer:
        """Return an answer that is none of an error."""
        if answer.status != 200:
            self.check_refusal(answer.status, answer.error, fields or {})
        return answer

    def check_refusal(self, status: int, error: dict[str, Any], fields: dict[str, Any]) -> None:
        """Tell a refusal by name, which is fine, from a failure."""
        name = str(error.get("param") or "")
        root = name.partition(".")[0].partition("[")[0]
        if status == 400 and error.get("code") == "unsupported_parameter" and root in fields:
            raise NotApplicable(f"it refuses {name} by name")
        told = f"{error.get('code')}: {error.get('message')}"
        raise Unmet(f"it answers {status}, {told}{self.last_words}")

    @property
    def last_words(self) -> str:
        """Return what the home wrote of its last fault, in brackets; empty where it wrote nothing."""
        words = self._home.last_words if self._home is not None else ""
        return f" ({words})" if words else ""

    async def tell(self, prompt: Any = None, **fields: Any) -> Told:
        """Ask for a stream and read it to its end, which must be a good one."""
        body = await self.body(prompt, stream=True, **fields)
        return await self.read(body, fields=fields)

    async def read(
        self, body: dict[str, Any], path: str = CHAT, fields: dict[str, Any] | None = None
    ) -> Told:
        """Send a request for a stream and read it to its end, which must be a good one."""
        stream = await self.open(body, path)
        if not stream.streams:
            answer = await stream.whole()
            if answer.status != 200:
                self.check_refusal(answer.status, answer.error, fields or {})
            raise Unmet("it was asked for a stream and sent none")
        told = await stream.read()
        require(told.done == 1, f"the stream has {told.done} [DONE], not one")
        if error := told.error:
            words = f"{error.get('code')}: {error.get('message')}{self.last_words}"
            raise Unmet(f"the stream ends with an error, {words}")
        return told

    async def open(self, body: dict[str, Any], path: str = CHAT) -> Stream:
        """Send a request for a stream and return it at its head."""
        stream = await (await self.door()).stream(body, path)
        self._lines.append(stream)
        return stream

    def hang_up(self) -> None:
        """Leave whatever a check has left open."""
        lines, self._lines = self._lines, []
        for line in lines:
            line.leave()

    # ------------------------------------------------------------ requests in frames

    async def chat(self, prompt: Any = None, **fields: Any) -> ChatRequest:
        """Return a chat request for a worker."""
        return msgspec.convert(await self.body(prompt, **fields), ChatRequest)

    async def long_chat(self, **fields: Any) -> ChatRequest:
        """Return a chat request for a worker whose answer takes long."""
        return msgspec.convert(await self.long_body(**fields), ChatRequest)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[WorkerConnection]:
        """Connect to the worker as a gateway does."""
        connection = await (await self.worker()).connect()
        try:
            yield connection
        finally:
            connection.close()

    async def hear(self, request: InferenceRequest) -> Sink:
        """Send a request to the worker and return all that it says to it, good or bad."""
        async with self.connection() as connection:
            return await Sink.ask(connection, request).end()

    async def within(self, waiting: asyncio.Event, seconds: float, fault: str) -> None:
        """Wait for an event; not having it in time is ``fault``."""
        try:
            async with asyncio.timeout(seconds):
                await waiting.wait()
        except TimeoutError:
            raise Unmet(f"{fault} ({seconds:g} s){self.last_words}") from None

    async def settle(self) -> None:
        """Wait until nothing is under way any more, and a plain request is answered.

        Raises:
            Unmet: A slot is not given back.
        """
        await (await self.home()).idle(self.patience / 2)
        door = await self.door()
        try:
            async with asyncio.timeout(self.patience / 2):
                while door.in_flight:  # noqa: ASYNC110 - it is counted, not told
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise Unmet(f"{door.in_flight} requests are still at the home") from None
        await self.ask()
