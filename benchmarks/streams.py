"""Many streams at once on one model, each read to its end and held against what a home may say."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

_HEAD_END = b"\r\n\r\n"
_PATIENCE = 120.0


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    id: str = ""
    model: str = ""
    choices: list[_Choice] = []
    error: Any = None


@dataclass
class Outcome:
    """What became of one request.

    Args:
        verdict: ``whole``, or what is wrong: ``failed``, ``truncated``, ``mixed``.
        what: More about what is wrong.
        first: Seconds to the first text of a stream.
        began: ``time.monotonic()`` when it was sent.
        generation: What the answer's head said.
        text: What was answered.
    """

    verdict: str
    what: str = ""
    first: float | None = None
    began: float = 0.0
    generation: str = ""
    text: str = ""


async def ask(port: int, model: str, prompt: str, tokens: int, *, stream: bool) -> Outcome:
    """Send one chat and read its answer to the end; only a whole answer is ``whole``."""
    body = msgspec.json.encode(
        {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "stream": stream,
            "max_tokens": tokens,
        }
    )
    began = time.monotonic()
    outcome = Outcome("failed", began=began)
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(
                    b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
                    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                    % (len(body), body)
                )
                await _read(reader, model, outcome, stream)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
        outcome.verdict = "truncated" if outcome.text else "failed"
        outcome.what = f"{type(error).__name__}: {error}"
    return outcome


async def _read(reader: asyncio.StreamReader, model: str, outcome: Outcome, stream: bool) -> None:
    head = (await reader.readuntil(_HEAD_END)).decode("latin-1")
    status = int(head.split(" ", 2)[1])
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
    }
    outcome.generation = headers.get("x-router-generation", "")
    if not outcome.generation:
        outcome.what = "no x-router-generation"
        return
    if status != 200 or not stream:
        body = await reader.readexactly(int(headers["content-length"]))
        if status != 200:
            outcome.what = f"{status}: {body[:300].decode(errors='replace')}"
            return
        whole = msgspec.json.decode(body, type=_Chunk)
        message = whole.choices[0].message
        outcome.text = (message and message.content) or ""
        outcome.verdict = "whole" if whole.choices[0].finish_reason else "truncated"
        return
    await _read_events(reader, model, outcome)


async def _read_events(reader: asyncio.StreamReader, model: str, outcome: Outcome) -> None:
    """Read chunked SSE: one id, one model, texts, one finish, ``[DONE]``, the last chunk."""
    pieces: list[str] = []
    ids: set[str] = set()
    finishes = 0
    done = False
    left = b""
    while size := int(await reader.readline(), 16):
        data = left + await reader.readexactly(size)
        await reader.readexactly(2)
        *events, left = data.split(b"\n\n")
        for event in events:
            if not event.startswith(b"data: "):
                continue
            if event == b"data: [DONE]":
                done = True
                continue
            chunk = msgspec.json.decode(event[6:], type=_Chunk)
            if chunk.error is not None:
                outcome.what = str(chunk.error)
                outcome.text = "".join(pieces)
                return
            ids.add(chunk.id)
            if chunk.model != model:
                outcome.verdict, outcome.what = "mixed", f"model {chunk.model}"
                return
            for choice in chunk.choices:
                if choice.delta is not None and choice.delta.content:
                    if not pieces:
                        outcome.first = time.monotonic() - outcome.began
                    pieces.append(choice.delta.content)
                    outcome.text = "…"
                if choice.finish_reason is not None:
                    finishes += 1
    outcome.text = "".join(pieces)
    if len(ids) != 1:
        outcome.verdict, outcome.what = "mixed", f"{len(ids)} ids in one stream"
    elif finishes != 1 or not done or left:
        outcome.verdict, outcome.what = "truncated", f"{finishes} finishes, done: {done}"
    else:
        outcome.verdict = "whole"


@dataclass
class Record:
    """What became of all requests.

    Args:
        verdicts: How many had which.
        by_home: How many whole answers each home gave.
        firsts: Time of sending and to the first text, of each whole stream.
        complaints: What was wrong with the first ones.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    by_home: Counter[str] = field(default_factory=Counter)
    firsts: list[tuple[float, float]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def take(self, outcome: Outcome, prompt: str, says: Mapping[str, str]) -> None:
        """Hold an answer against what each home says to the prompt."""
        verdict, what = outcome.verdict, outcome.what
        if verdict == "whole":
            home = next((home for home, text in says.items() if text == outcome.text), None)
            if home is None:
                verdict, what = "mixed", f"no home answers {prompt!r} with {outcome.text!r}"
            else:
                self.by_home[home] += 1
                if outcome.first is not None:
                    self.firsts.append((outcome.began, outcome.first))
        self.verdicts[verdict] += 1
        if verdict != "whole" and len(self.complaints) < 20:
            self.complaints.append(f"{verdict} (generation {outcome.generation}): {what}")


class Load:
    """Keeps streams open, and sends short requests at a steady rate, until it is told to stop.

    Args:
        port: Of the router.
        model: What is asked.
        says: What each home answers, by prompt.
        streams: So many at the same time.
        rate: Short requests per second.
        tokens: Length of an answer at most.
    """

    def __init__(
        self,
        port: int,
        model: str,
        says: Mapping[str, Mapping[str, str]],
        *,
        streams: int,
        rate: float,
        tokens: int,
    ) -> None:
        self.record = Record()
        self._asking = (port, model)
        self._length = tokens
        self._says = says
        self._prompts = itertools.cycle(says)
        self._streams = streams
        self._rate = rate
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin; streams start one after the other, over a second."""
        for number in range(self._streams):
            self._spawn(self._stream_on(number / self._streams))
        if self._rate:
            self._spawn(self._send_steadily())

    async def stop(self) -> None:
        """Begin nothing new, and wait until everything has ended."""
        self._stopping.set()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stream_on(self, delay: float) -> None:
        await self._pause(delay)
        while not self._stopping.is_set():
            await self._one(stream=True)

    async def _send_steadily(self) -> None:
        while not self._stopping.is_set():
            self._spawn(self._one(stream=False))
            await self._pause(1 / self._rate)

    async def _one(self, *, stream: bool) -> None:
        prompt = next(self._prompts)
        outcome = await ask(*self._asking, prompt, self._length, stream=stream)
        self.record.take(outcome, prompt, self._says[prompt])

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of ``values`` lies; 0 where there is none."""
    if not values:
        return 0.0
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def split_by(
    firsts: Collection[tuple[float, float]], inside: Callable[[float], bool]
) -> tuple[list[float], list[float]]:
    """Return the times to first text of streams that were sent inside of some spans, and of the others."""
    within = [first for began, first in firsts if inside(began)]
    return within, [first for began, first in firsts if not inside(began)]
