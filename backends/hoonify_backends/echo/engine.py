"""The engine of the test instrument; runs in a worker like any other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator

from hoonify_backends.echo.options import EchoOptions
from hoonify_backends.echo.script import Script, read_script, tokens_of
from hoonify_router.api import Engine, ProgressCallback
from hoonify_router.errors import ContextLengthExceeded, Overloaded, RouterError, error_kinds
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    Counted,
    Event,
    Finish,
    FinishReason,
    Health,
    Message,
    Reasoning,
    Text,
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
            raise RouterError(f"{options.load_blocker} is in the way")

    @property
    def capabilities(self) -> Capabilities:
        """Return the little that a script honours."""
        return Capabilities(
            parameters=frozenset({"max_tokens", "max_completion_tokens", "n", "stop"}),
            context_length=self._options.context_length,
            slots=self._options.slots,
            device="none",
            details={"model": "none: a test instrument"},
        )

    def health(self) -> Health:
        """Return what runs and waits, and how long ago the last token was."""
        age = time.monotonic() - self._stepped if self._running else 0.0
        return Health(self._running, self._queued, age)

    async def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
        """Say what the script says."""
        script = self._script(request)
        prompt_tokens = sum(len(tokens_of(_text(message))) for message in request.messages)
        room = self._options.context_length - prompt_tokens
        if room < 1:
            raise ContextLengthExceeded(
                f"The prompt has {prompt_tokens} tokens, the model's context is "
                f"{self._options.context_length}.",
                param="messages",
            )
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
            events = self._perform(script, request, prompt_tokens, room)
            async with contextlib.aclosing(events):
                async for event in events:
                    yield event
        finally:
            self._running -= 1
            self._slots.release()

    def _script(self, request: ChatRequest) -> Script:
        last = next((m for m in reversed(request.messages) if m.role == "user"), None)
        said = "" if last is None else _text(last)
        script = read_script(said) if self._options.magic else Script(text=said)
        if self._options.reply == "text":
            script.text = self._options.text
        if self._options.crash_after is not None:
            script.mishap, script.mishap_after = "crash", self._options.crash_after
        return script

    async def _perform(
        self, script: Script, request: ChatRequest, prompt_tokens: int, room: int
    ) -> AsyncGenerator[Event, None]:
        tokens, reason = _cut(script.text, request, room)
        thoughts = tokens_of(script.thought)
        answers = range(request.n or 1)
        told = 0
        pause = self._options.first_token_delay if script.first is None else script.first
        delay = self._options.token_delay if script.delay is None else script.delay
        for kind, token in [(Reasoning, t) for t in thoughts] + [(Text, t) for t in tokens]:
            if told == script.mishap_after:
                await self._stumble(script)
            await asyncio.sleep(pause)
            pause = delay
            self._stepped = time.monotonic()
            for index in answers:
                yield kind(token, index)
            told += 1
        if told <= script.mishap_after:
            await self._stumble(script)
        for index in answers:
            yield Finish(script.finish or reason, index)
        if script.counted:
            prompt, completion = script.usage or (prompt_tokens, told * len(answers))
            reasoned = len(thoughts) * len(answers)
            yield Counted(Usage(prompt, completion, reasoning_tokens=reasoned))

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


def _cut(text: str, request: ChatRequest, room: int) -> tuple[list[str], FinishReason]:
    """Return the tokens that ``stop``, the token limit and the context leave, and why it ends there."""
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    ends = [end for stop in stops if stop and (end := text.find(stop)) >= 0]
    if ends:
        text = text[: min(ends)]
    tokens = tokens_of(text)
    limit = min(room, request.token_limit or room)
    return tokens[:limit], "length" if len(tokens) > limit else "stop"
