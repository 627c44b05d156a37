"""The engine of the test instrument; runs in a worker like any other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from msgspec.structs import replace

from hoonify_backends.echo.inventions import invent_vector
from hoonify_backends.echo.options import PARAMETERS, TASKS, EchoOptions
from hoonify_backends.echo.score import write_score
from hoonify_backends.echo.script import Script, read_script, tokens_of
from hoonify_router.api import Engine, Metered, ProgressCallback
from hoonify_router.errors import (
    ContextLengthExceeded,
    InvalidValue,
    Overloaded,
    RouterError,
    Unsupported,
    error_kinds,
)
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Counted,
    Embedded,
    EmbeddingRequest,
    Event,
    Finish,
    Health,
    Message,
    TextPart,
    Usage,
)

_LOAD_STEPS = 20


class EchoEngine(Engine[EchoOptions]):
    """Answers from a script instead of a model."""

    options_type = EchoOptions

    async def load(self, options: EchoOptions, progress: ProgressCallback) -> None:
        """Take as long, and fail, as the options say."""
        self._options = options
        self._slots = asyncio.Semaphore(options.slots)
        self._running = self._queued = 0
        self._stepped = time.monotonic()
        for step in range(_LOAD_STEPS):
            if not options.load_silent:
                progress("pretending to load", step, _LOAD_STEPS)
            await asyncio.sleep(options.load_delay / _LOAD_STEPS)
        if options.load_crash:
            _crash()
        if options.load_error:
            kind = error_kinds().get(options.load_error, RouterError)
            raise kind(f"told to fail with {options.load_error}")
        if options.load_blocker and os.path.exists(options.load_blocker):  # noqa: ASYNC240 - no load
            kind = error_kinds().get(options.load_blocker_error, RouterError)
            raise kind(f"{options.load_blocker} is in the way")

    @property
    def capabilities(self) -> Capabilities:
        """Return the little that a script honours."""
        return Capabilities(
            parameters=PARAMETERS,
            context_length=self._options.context_length,
            slots=self._options.slots,
            device="none",
            details={"model": "none: a test instrument"},
            tasks=TASKS,
        )

    def health(self) -> Health:
        """Return what runs and waits, and how long ago the last token was."""
        age = time.monotonic() - self._stepped if self._running else 0.0
        return Health(self._running, self._queued, age)

    def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
        """Say what the script says."""
        usage = Usage()
        return Metered(self._generate(request, usage), usage)

    def complete(self, request: CompletionRequest) -> AsyncIterator[Event]:
        """Say what the scripts in the prompts say, one prompt after the other."""
        usage = Usage()
        return Metered(self._complete(request, usage), usage)

    async def _generate(self, request: ChatRequest, usage: Usage) -> AsyncGenerator[Event, None]:
        script = self._chat_script(request)
        prompt_tokens = sum(len(tokens_of(_text(message))) for message in request.messages)
        answers = range(request.choices)
        events = self._answer([(script, prompt_tokens, answers)], request, "messages", usage)
        async with contextlib.aclosing(events):
            async for event in events:
                yield event

    async def _complete(
        self, request: CompletionRequest, usage: Usage
    ) -> AsyncGenerator[Event, None]:
        parts = []
        for number, prompt in enumerate(request.prompts):
            if not isinstance(prompt, str):
                raise Unsupported("The test instrument reads text, no tokens.", param="prompt")
            script = self._script(prompt, "prompt")
            first = number * (request.n or 1)
            answers = range(first, first + (request.n or 1))
            parts.append((script, len(tokens_of(prompt)), answers))
        events = self._answer(parts, request, "prompt", usage)
        async with contextlib.aclosing(events):
            async for event in events:
                yield event

    async def embed(self, request: EmbeddingRequest) -> AsyncIterator[Event]:
        """Make up a vector for each input; a script in the first one says how it goes."""
        dimensions = request.dimensions or self._options.dimensions
        if dimensions > self._options.dimensions:
            raise InvalidValue(
                f"Invalid value for 'dimensions': it must be from 1 to {self._options.dimensions}.",
                param="dimensions",
            )
        first = request.inputs[0]
        script = self._script(first if isinstance(first, str) else "", "input")
        counts = [len(tokens_of(i) if isinstance(i, str) else i) for i in request.inputs]
        self._room(max(counts) - 1, "input")
        async with self._slot():
            await asyncio.sleep(script.first or 0)
            await self._stumble(script)
            for index, given in enumerate(request.inputs):
                yield Embedded(invent_vector(given, dimensions), index)
            yield Counted(Usage(sum(counts)))

    # ------------------------------------------------------------ what an answer is made of

    def _chat_script(self, request: ChatRequest) -> Script:
        last = max((n for n, m in enumerate(request.messages) if m.role == "user"), default=None)
        if last is None:
            return self._script("", "messages")
        script = self._script(_text(request.messages[last]), "messages")
        results = [m for m in request.messages[last:] if m.role == "tool"]
        if results and self._options.reply == "last":
            script.text = _text(results[-1])
        return script

    def _script(self, said: str, param: str) -> Script:
        script = read_script(said, param) if self._options.magic else Script(text=said)
        if self._options.reply == "text":
            script.text = self._options.text
        if self._options.crash_after is not None:
            script.mishap, script.mishap_after = "crash", self._options.crash_after
        return script

    def _room(self, prompt_tokens: int, param: str) -> int:
        room = self._options.context_length - prompt_tokens
        if room < 1:
            raise ContextLengthExceeded(
                f"The prompt has {prompt_tokens} tokens, the model's context is "
                f"{self._options.context_length}.",
                param=param,
            )
        return room

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncGenerator[None, None]:
        """Wait for a slot and hold it."""
        if self._queued >= self._options.queue and self._slots.locked():
            raise Overloaded("The model's queue is full.", retry_after=1)
        self._queued += 1
        try:
            await self._slots.acquire()
        finally:
            self._queued -= 1
        self._running += 1
        self._stepped = time.monotonic()
        try:
            yield
        finally:
            self._running -= 1
            self._slots.release()

    async def _answer(
        self,
        parts: Sequence[tuple[Script, int, range]],
        request: ChatRequest | CompletionRequest,
        param: str,
        usage: Usage,
    ) -> AsyncGenerator[Event, None]:
        """Answer ``parts``: a script, the tokens of its prompt, and the indices of its answers."""
        scores = [write_score(script, request, self._room(n, param)) for script, n, _ in parts]
        async with self._slot():
            for (script, prompt_tokens, answers), score in zip(parts, scores, strict=True):
                before = usage.completion_tokens
                usage.prompt_tokens += prompt_tokens
                pause = self._options.first_token_delay if script.first is None else script.first
                delay = self._options.token_delay if script.delay is None else script.delay
                for told, step in enumerate(score.steps):
                    if told == script.mishap_after:
                        await self._stumble(script)
                    await asyncio.sleep(pause)
                    pause = delay
                    self._stepped = time.monotonic()
                    usage.completion_tokens += len(answers)
                    for index in answers:
                        for event in step:
                            yield replace(event, index=index) if index else event
                if len(score.steps) <= script.mishap_after:
                    await self._stumble(script)
                for index in answers:
                    yield Finish(script.finish or score.reason, index)
                if script.usage is not None:
                    usage.prompt_tokens += script.usage[0] - prompt_tokens
                    usage.completion_tokens = before + script.usage[1]
                usage.reasoning_tokens += score.thoughts * len(answers)
            if parts[-1][0].counted:
                yield Counted(usage)

    async def _stumble(self, script: Script) -> None:
        if script.mishap == "error":
            raise error_kinds()[script.mishap_argument]("The script wants this error.")
        if script.mishap == "crash":
            await asyncio.sleep(0.01)  # the tokens before it must have left
            _crash()
        if script.mishap == "hang":
            await asyncio.get_running_loop().create_future()
        if script.mishap == "block":
            time.sleep(float(script.mishap_argument))  # noqa: ASYNC251 - to block is the point
        if script.mishap == "bug":
            raise ZeroDivisionError("the script wants a bug")


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _text(message: Message) -> str:
    content = message.content
    if isinstance(content, list):
        return "".join(part.text for part in content if isinstance(part, TextPart))
    return content or ""
