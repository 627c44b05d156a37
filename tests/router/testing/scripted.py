"""An engine that keeps every promise, made of small methods that a mutant may break, and a home for it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import struct
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from hoonify_router.api import Engine, ProgressCallback, WorkerBackend
from hoonify_router.errors import ContextLengthExceeded, InvalidValue
from hoonify_router.loader import load_plugins
from hoonify_router.testing.bench import Bench
from hoonify_router.testing.homes import Worker
from hoonify_router.testing.subject import make_subject
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    Counted,
    Embedded,
    EmbeddingRequest,
    Event,
    Finish,
    FinishReason,
    Health,
    Text,
    TextPart,
    TokenLogprob,
    ToolCall,
    Usage,
)
from hoonify_router.worker.host import Host

PARAMETERS = frozenset(
    {
        "ignore_eos", "logprobs", "max_completion_tokens", "max_tokens", "n", "response_format",
        "seed", "stop", "temperature", "tool_choice", "tools", "top_logprobs",
    }
)  # fmt: skip
WEATHER = '{"city": "Bonn", "warm": true}'


class ScriptedOptions(Struct, forbid_unknown_fields=True):
    """What `options:` may say."""

    slots: Annotated[int, Meta(description="Requests at once.", ge=1)] = 4


class ScriptedEngine(Engine[ScriptedOptions]):
    """Says the last message again, word by word."""

    options_type = ScriptedOptions
    context = 2048
    parameters = PARAMETERS
    tasks: frozenset[Any] = frozenset({"chat", "embedding"})
    device = "none"
    images: bool | None = False
    pause = 0.002

    async def load(self, options: ScriptedOptions, progress: ProgressCallback) -> None:
        """Pretend to read."""
        self.slots = options.slots
        self.free = asyncio.Semaphore(options.slots)
        self.running = self.queued = 0
        self.dice = itertools.count()
        await self.show_progress(progress)

    async def show_progress(self, progress: ProgressCallback) -> None:
        progress("reading", 1, 2)
        await asyncio.sleep(0.06)  # words of a load are at most 20 a second
        progress("reading", 2, 2)
        await asyncio.sleep(0.06)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            self.parameters,
            self.context,
            self.slots,
            device=self.device,
            tasks=self.tasks,
            images=self.images,
        )

    def health(self) -> Health:
        return Health(self.running, self.queued)

    # ------------------------------------------------------------ one request

    def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
        return self.run(request)

    async def run(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        events = self.events(request)
        altered = self.alter(events, request)
        async with contextlib.aclosing(events), contextlib.aclosing(altered):
            async for event in altered:
                yield event

    async def alter(
        self, events: AsyncIterator[Event], request: ChatRequest
    ) -> AsyncGenerator[Event, None]:
        """Pass events on; what most mutants change."""
        async for event in events:
            yield event

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        self.queued += 1
        try:
            await self.free.acquire()
        finally:
            self.queued -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self.free.release()

    async def events(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        prompt = self.count_prompt(request)
        if prompt > self.context:
            self.refuse_length(prompt)
        async with self.slot():
            if self.must_call(request):
                async for event in self.call():
                    yield event
                yield Finish("tool_calls")
                yield Counted(Usage(prompt, 3))
                return
            words, reason = self.say(request)
            for word in words:
                await asyncio.sleep(self.pause)
                for index in range(request.choices):
                    yield Text(word, index, self.weigh(word, request))
            for index in range(request.choices):
                yield Finish(reason, index)
            yield Counted(Usage(prompt, self.count_answer(words, request)))

    def refuse_length(self, prompt: int) -> None:
        raise ContextLengthExceeded(f"{prompt} tokens are too many.", param="messages")

    def text_of(self, message: Any) -> str:
        if isinstance(message.content, list):
            return "".join(p.text for p in message.content if isinstance(p, TextPart))
        return message.content or ""

    def count_prompt(self, request: ChatRequest) -> int:
        return sum(len(self.text_of(message).split()) for message in request.messages)

    def count_answer(self, words: list[str], request: ChatRequest) -> int:
        return len(words) * request.choices

    def say(self, request: ChatRequest) -> tuple[list[str], FinishReason]:
        """Return the words of the answer and why it ends."""
        text = self.form(self.text_of(request.messages[-1]), request)
        words = [word + " " for word in text.split(" ")]
        words[-1] = words[-1].removesuffix(" ")
        limit = self.limit(request)
        if request.ignore_eos and limit:
            words = (words * (limit + 1))[: limit + 1]
        cut = limit is not None and len(words) > limit
        words = words[:limit] if cut else words
        words, stopped = self.stop(words, request)
        return words, "length" if cut and not stopped else "stop"

    def form(self, text: str, request: ChatRequest) -> str:
        form = (request.response_format or {}).get("type")
        if form == "json_schema":
            self.check_schema(request.response_format or {})
            return WEATHER
        return text if form is None or text.startswith("{") else "{}"

    def check_schema(self, form: dict[str, Any]) -> None:
        if form["json_schema"]["schema"]["type"] != "object":
            raise InvalidValue("That is no schema.", param="response_format")

    def limit(self, request: ChatRequest) -> int | None:
        return request.token_limit

    def stop(self, words: list[str], request: ChatRequest) -> tuple[list[str], bool]:
        stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
        text = "".join(words)
        ends = [text.index(stop) for stop in stops if stop in text]
        if not ends:
            return words, False
        return self.cut(words, min(ends)), True

    def cut(self, words: list[str], end: int) -> list[str]:
        kept = []
        for word in words:
            if end > 0:
                kept.append(word[:end])
            end -= len(word)
        return kept

    def weigh(self, word: str, request: ChatRequest) -> list[TokenLogprob] | None:
        if not request.logprobs:
            return None
        likely = [(word.encode(), -0.1), (b" or", -2.5), (b" and", -3.5)]
        return [TokenLogprob(word.encode(), -0.1, likely[: request.top_logprobs or 0])]

    def must_call(self, request: ChatRequest) -> bool:
        choice = request.tool_choice
        return bool(request.tools) and (choice == "required" or isinstance(choice, dict))

    async def call(self) -> AsyncGenerator[Event, None]:
        yield ToolCall(0, "get_weather")
        yield ToolCall(0, "", '{"city": ')
        yield ToolCall(0, "", '"Bonn"}')

    async def embed(self, request: EmbeddingRequest) -> AsyncIterator[Event]:
        for index, given in enumerate(request.inputs):
            yield Embedded(self.vector(str(given)), index)
        yield Counted(Usage(sum(len(str(one).split()) for one in request.inputs)))

    def vector(self, text: str) -> bytes:
        return struct.pack("<2f", float(len(text)), 1.0)


class Words(logging.Handler):
    """Keeps what the worker wrote of faults."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        cause = f": {type(error).__name__}: {error}" if error is not None else ""
        self.told.append(record.getMessage() + cause)


class HostInProcess(Worker):
    """A worker's host in the event loop of the test: the same frames, no process."""

    def __init__(self, plan: Any, engine: type[Engine[Any]], socket: Path) -> None:
        super().__init__(plan, socket)
        self._engine = engine
        self._words = Words()
        self._server: asyncio.Server | None = None

    @property
    def last_words(self) -> str:
        return self._words.told[-1] if self._words.told else ""

    async def start(self) -> None:
        logging.getLogger("hoonify_router.worker").addHandler(self._words)
        self._host = Host(lambda: self._engine, "subject", heartbeat=0.05)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._host.connect, str(self.socket))
        await self.load_well()

    async def stop(self) -> None:
        logging.getLogger("hoonify_router.worker").removeHandler(self._words)
        self.part()
        if self._server is not None:
            self._host.drain(0)
            await self._host.wait()
            await self._host.part_from_all(0.1)
            self._server.close()


@contextlib.asynccontextmanager
async def bench_of(
    engine: type[ScriptedEngine], patience: float = 20.0, *, process: bool = False
) -> AsyncIterator[Bench]:
    """Give a bench with a home of ``engine``, in this process or in one of its own."""
    backend = WorkerBackend(
        "scripted",
        "Says what a test wants.",
        ScriptedOptions,
        f"{engine.__module__}:{engine.__name__}",
        parameters=PARAMETERS,
        tasks=engine.tasks,
    )
    subject = make_subject(load_plugins(entry_points=()), backend)
    with _folder() as folder:
        home = None if process else HostInProcess(subject.plan, engine, folder / "w.sock")
        bench = Bench(subject, patience=patience, home=home)
        try:
            yield bench
        finally:
            await bench.close()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hoo-") as name:
        yield Path(name)
