"""Copies of requests for a candidate home, and what its answers are like beside those that clients got.

A copy is sent when the client's answer is complete, so that nothing waits for it, and counts for nothing else: no
usage, no limit, no breaker, no choice of a home. Texts are kept until they are compared, and only of requests that are
copied, of which there are a few at a time.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec
from msgspec import Struct

from hoonify_router.adapters.base import Adapter, Job
from hoonify_router.answer import Answer
from hoonify_router.api import HomeCall, RequestContext
from hoonify_router.catalog import Catalog
from hoonify_router.completion import WholeAnswer
from hoonify_router.errors import Cancelled, RouterError, TotalTimeout
from hoonify_router.forms import Paper, new_answer
from hoonify_router.identity import Names
from hoonify_router.model import Model
from hoonify_router.tally import bucket_of
from hoonify_router.types import EmbeddingRequest, HomeView, InferenceRequest
from hoonify_router.types.comparison import ShadowTally, Side, key_of

log = logging.getLogger(__name__)

LONGEST = 2 * 1024 * 1024
"""Bytes of an answer that are kept at most."""

_AT_LEAST = 60.0
_SLOWER = 10.0
_SLOW = "The shadow took more than ten times as long as the home."


class Tape:
    """Passes an answer on and keeps a copy of its stream.

    Args:
        key: Of the tally that it is for.
        home: The shadow, as the table had it.
        paper: Where the answer goes; ``None`` is nowhere.
    """

    takes_all_at_end = False  # it is read before the end is written, if that ever is

    __slots__ = ("_kept", "_paper", "_size", "home", "key")

    def __init__(self, key: str, home: HomeView, paper: Paper | None) -> None:
        self.key = key
        self.home = home
        self._paper = paper
        self._kept: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Pass events on."""
        if self._paper is not None:
            self._paper.write(data)
        self._size += len(data)
        if self._size <= LONGEST:
            self._kept.append(data)

    def end(self, data: bytes) -> None:
        """Pass the end on; it holds no text."""
        if self._paper is not None:
            self._paper.end(data)

    def send(self, status: int, body: bytes) -> None:
        """Pass a whole answer on."""
        if self._paper is not None:
            self._paper.send(status, body)

    def read(self, answer: Answer) -> str | None:
        """Return the text of an answer that has ended well, and keep nothing; ``None`` if it is too long."""
        kept, self._kept = b"".join(self._kept), []
        if isinstance(answer, WholeAnswer):
            body = answer.body()
            return text_of([body]) if len(body) <= LONGEST else None
        if self._size > LONGEST:
            return None
        return text_of(
            line[6:]
            for line in kept.split(b"\n")
            if line.startswith(b"data: {")  # neither comments nor [DONE]
        )


@dataclass(frozen=True)
class _Original:
    """The answer that a client got."""

    tape: Tape
    answer: Answer
    call: HomeCall


class Mirror:
    """Copies requests of models that have a shadow.

    Args:
        catalog: Knows the shadows.
        adapters: Speak to homes, by kind.
        names: Makes ids.
        draw: Returns a number from 0 to 1, for each request.
    """

    def __init__(
        self,
        catalog: Catalog,
        adapters: Mapping[str, Adapter],
        names: Names,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._catalog = catalog
        self._adapters = adapters
        self._names = names
        self._draw = draw
        self._tallies: dict[str, ShadowTally] = {}
        self._taken: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def sample(self, model: Model, request: InferenceRequest, paper: Paper) -> Tape | None:
        """Return what shall stand between an answer and its client if the request is to be copied.

        Whoever gets a tape gives it back, to ``follow`` or to ``give_up``.
        """
        wanted, there = model.config.shadow, model.shadow
        if wanted is None or there is None or isinstance(request, EmbeddingRequest):
            return None
        home = there[0]
        tally = self._tally(model, home)
        tally.requests += 1
        if self._draw() >= wanted.share:
            return None
        if home.state != "ready" or not home.address:
            tally.away += 1
            if home.state == "stopped" and not home.held:
                self._catalog.rouse(home)
            return None
        if self._taken.get(model.id, 0) >= wanted.concurrency:
            tally.busy += 1
            return None
        self._taken[model.id] = self._taken.get(model.id, 0) + 1
        return Tape(tally.key, home, paper)

    def give_up(self, model: Model, tape: Tape, error: BaseException | None = None) -> None:
        """Take back the tape of a request that got no answer to compare with."""
        self._taken[model.id] -= 1
        if not isinstance(error, RouterError) or isinstance(error, Cancelled):
            return
        if error.status >= 500 and (tally := self._find(model, tape)) is not None:
            tally.home.failed += 1

    def follow(
        self, model: Model, tape: Tape, ctx: RequestContext, body: bytes | None, answer: Answer
    ) -> None:
        """Send the copy, in the background, now that the client's answer is complete.

        Args:
            model: That was asked for.
            tape: Of the answer.
            ctx: The request.
            body: The client's bytes of it, where they may be used.
            answer: The client's.
        """
        request, call = ctx.request, ctx.calls[-1]
        if request is None or call.home.model != model.id:  # a fallback answered
            self.give_up(model, tape)
            return
        original = _Original(tape, answer, call)
        job = Job(
            f"{ctx.request_id}-shadow", request, body, tape.home, model.config.timeouts.connect
        )
        task = asyncio.create_task(self._follow(model, job, original))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self.give_up(model, tape))

    def tallies(self) -> dict[str, ShadowTally]:
        """Return what was counted, by model; shadows that are no more are forgotten."""
        shadows = {
            one.id: self._tally(one, one.shadow[0]) for one in self._catalog.models() if one.shadow
        }
        self._tallies = shadows
        return dict(shadows)

    async def close(self) -> None:
        """Break off what is under way."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # ------------------------------------------------------------ a copy

    async def _follow(self, model: Model, job: Job, original: _Original) -> None:
        try:
            expected = original.tape.read(original.answer)
            if expected is None:
                if (tally := self._find(model, original.tape)) is not None:
                    tally.long += 1
                return
            tape = Tape(original.tape.key, job.home, None)
            call = HomeCall(job.home, time.perf_counter())
            answer = await self._ask(model, job, tape, original)
            call.first_at, call.ended = answer.first_at, time.perf_counter()
            tally = self._find(model, tape)
            if tally is None:  # meanwhile there is another one
                return
            if answer.error is not None:
                there = model.shadow
                if there is None or there[0].state != "ready":
                    tally.away += 1
                    return
                kind = type(answer.error).__name__
                tally.errors[kind] = tally.errors.get(kind, 0) + 1
                tally.shadow.failed += 1
                return
            text = tape.read(answer)
            if text is None:
                tally.long += 1
                return
            repeatable = is_repeatable(job.request, original.call.home, job.home)
            agreement = tally.repeatable if repeatable else tally.sampled
            agreement.compared += 1
            agreement.exact += expected == text
            agreement.prefix += common_prefix(expected, text)
            _measure(tally.home, expected, original.answer, original.call, job.request)
            _measure(tally.shadow, text, answer, call, job.request)
        except Exception:
            log.exception("a copy of a request for %s could not be compared", model.id)

    async def _ask(self, model: Model, job: Job, tape: Tape, original: _Original) -> Answer:
        """Return the shadow's answer, however it has ended."""
        done = asyncio.get_running_loop().create_future()
        answer = new_answer(job.request, self._names, tape, partial(_wake, done))
        took = original.call.ended - original.call.started
        limit = min(max(_AT_LEAST, took * _SLOWER), model.config.timeouts.total or _AT_LEAST * 60)
        call = None
        try:
            if model.shadow is not None:
                model.shadow[1].check(job.request)
            async with asyncio.timeout(limit):
                call = await self._adapters[job.home.kind].start(job, answer)
                await done
        except TimeoutError:
            answer.fail(TotalTimeout(_SLOW))
        except RouterError as error:
            answer.fail(error)
        finally:
            if call is not None and (answer.error is not None or not answer.ended):
                call.cancel()
        return answer

    # ------------------------------------------------------------ counting

    def _tally(self, model: Model, shadow: HomeView) -> ShadowTally:
        key = key_of(shadow.key, [home.key for home in model.homes])
        tally = self._tallies.get(model.id)
        if tally is None or tally.key != key:
            tally = self._tallies[model.id] = ShadowTally(key=key, since=time.time())
        return tally

    def _find(self, model: Model, tape: Tape) -> ShadowTally | None:
        """Return the tally that a tape is for, unless counting has begun anew."""
        tally = self._tallies.get(model.id)
        return tally if tally is not None and tally.key == tape.key else None


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    function: _Function | None = None


class _Message(Struct):
    reasoning_content: str | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    index: int = 0
    delta: _Message | None = None
    message: _Message | None = None
    text: str | None = None


class _Object(Struct):
    choices: list[_Choice] = []


_decode = msgspec.json.Decoder(_Object).decode


def text_of(objects: Iterable[bytes]) -> str:
    """Return all that an answer says, as one text: thoughts, content and calls of its choices.

    Args:
        objects: The whole answer, or its chunks, as JSON.
    """
    said: dict[int, list[str]] = {}
    for data in objects:
        for choice in _decode(data).choices:
            pieces = said.setdefault(choice.index, [])
            pieces.append(choice.text or "")
            if (message := choice.delta or choice.message) is None:
                continue
            pieces += (
                message.reasoning_content or "",
                message.content or "",
                message.refusal or "",
            )
            for call in message.tool_calls or ():
                if call.function is not None:
                    pieces += (call.function.name or "", call.function.arguments or "")
    return "\n".join("".join(pieces) for _, pieces in sorted(said.items()))


def common_prefix(one: str, other: str) -> float:
    """Return the share of the longer text that both begin with; 1 where they are equal."""
    longest = max(len(one), len(other))
    if one == other:
        return 1.0
    low, high = 0, min(len(one), len(other))
    while low < high:  # slices compare at the speed of memory
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low / longest


def is_repeatable(request: InferenceRequest, home: HomeView, shadow: HomeView) -> bool:
    """Tell whether both should answer with the same text; a seed means the same on the same backend only."""
    if isinstance(request, EmbeddingRequest):
        return True
    return request.temperature == 0 or (request.seed is not None and home.backend == shadow.backend)


def _measure(
    side: Side, text: str, answer: Answer, call: HomeCall, request: InferenceRequest
) -> None:
    side.characters += len(text)
    tokens = 0
    if answer.usage is not None:
        tokens = answer.usage.completion_tokens
        side.tokens += tokens
        side.counted += 1
    if answer.first_at is None or not (request.streams or call.home.kind == "worker"):
        return  # it came in one piece: its times mean nothing
    bucket = bucket_of(answer.first_at - call.started)
    side.ttft[bucket] = side.ttft.get(bucket, 0) + 1
    if tokens > 1:
        bucket = bucket_of((call.ended - answer.first_at) / (tokens - 1))
        side.itl[bucket] = side.itl.get(bucket, 0) + 1


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
