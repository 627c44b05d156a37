"""Engines with one fault each in forms, errors, cancelling, loading, and in what they say of themselves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from tests.router.testing.mutant import Altered, Events, Mutant
from tests.router.testing.scripted import ScriptedEngine

from hoonify_router.errors import ContextLengthExceeded, InvalidRequest, InvalidValue
from hoonify_router.types import (
    ChatRequest,
    Counted,
    Embedded,
    EmbeddingRequest,
    Event,
    Finish,
    FinishReason,
    Health,
    Text,
    ToolCall,
    Usage,
)

# ---------------------------------------------------------------- forms


class CallsNothing(Mutant):
    caught_by, says = "calls_what_is_demanded", "calls none"

    def must_call(self, request: ChatRequest) -> bool:
        return False


class CallsSomethingElse(Mutant):
    caught_by, says = "calls_what_is_demanded", "it calls 'get_time'"

    async def call(self) -> Altered:
        yield ToolCall(0, "get_time", "{}")


class CutsArguments(Mutant):
    caught_by, says = "calls_what_is_demanded", "no JSON object"

    async def call(self) -> Altered:
        yield ToolCall(0, "get_weather", '{"city": ')


class NamesACallTwice(Mutant):
    caught_by, says = "streams_its_calls", "calls are numbered from 0 and named once"

    async def call(self) -> Altered:
        yield ToolCall(0, "get_weather", "{")
        yield ToolCall(0, "get_weather", "}")


class AlwaysCalls(Mutant):
    caught_by, says = "calls_nothing_if_told", "although tool_choice is none"

    def must_call(self, request: ChatRequest) -> bool:
        return bool(request.tools)


class TalksInsteadOfJSON(Mutant):
    caught_by, says = "answers_with_json", "json_object was asked for"

    def form(self, text: str, request: ChatRequest) -> str:
        return "Here you are: " + text if request.response_format else text


class IgnoresTheSchema(Mutant):
    caught_by, says = "answers_by_a_schema", "does not fit the schema"

    def form(self, text: str, request: ChatRequest) -> str:
        return json.dumps({"city": "Rome"}) if request.response_format else text


class TakesAnySchema(Mutant):
    caught_by, says = "refuses_a_schema_that_is_none", "a schema that is none gets 200"

    def check_schema(self, form: dict[str, Any]) -> None:
        """Look at nothing."""


class RefusesWhatItDeclares(Mutant):
    caught_by, says = "honours_what_it_declares", "it declares stop and answers 422"

    def say(self, request: ChatRequest) -> tuple[list[str], FinishReason]:
        if request.stop:
            raise InvalidValue("No stop texts.", param="stop")
        return super().say(request)


class MixesUpVectors(Mutant):
    caught_by, says = "embeds_in_order", "is that of another text"

    async def embed(self, request: EmbeddingRequest) -> AsyncIterator[Event]:
        vectors = [self.vector(str(given)) for given in request.inputs][::-1]
        for index, vector in enumerate(vectors):
            yield Embedded(vector, index)
        yield Counted(Usage(len(vectors)))


# ---------------------------------------------------------------- errors


class SwallowsErrors(Mutant):
    caught_by, says = "says_what_is_too_long", "answered all the same"

    def refuse_length(self, prompt: int) -> None:
        """Go on with what there is."""


class RaisesWhatNobodyKnows(Mutant):
    caught_by, says = "errors_are_typed", "swallows the cause"

    def refuse_length(self, prompt: int) -> None:
        raise ValueError(f"{prompt} > {self.context}")


class RaisesAnotherError(Mutant):
    caught_by, says = "says_what_is_too_long", "a prompt over its context is InvalidRequest"

    def refuse_length(self, prompt: int) -> None:
        raise InvalidRequest("Something is wrong.")


class TellsPaths(Mutant):
    caught_by, says = "errors_are_typed", "its error tells a path"

    def refuse_length(self, prompt: int) -> None:
        raise ContextLengthExceeded("See /opt/models/secret/config.json, which says no.")


class RefusesTooLate(Mutant):
    caught_by, says = "says_what_is_too_long", "had begun to answer"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        yield Text("Well, ")
        async for event in events:
            yield event


class IsBrokenByOneError(Mutant):
    caught_by, says = "errors_concern_one_request", "I am broken"
    broken = False

    def refuse_length(self, prompt: int) -> None:
        self.broken = True
        super().refuse_length(prompt)

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            if self.broken and isinstance(event, Finish):
                raise InvalidRequest("I am broken.")
            yield event


# ---------------------------------------------------------------- leaving


class IgnoresCancel(Mutant):
    caught_by, says = "cancels_in_mid_answer", "goes on and keeps its slot"
    pause = 0.5

    async def run(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        queue: asyncio.Queue[Event | None] = asyncio.Queue()

        async def work() -> None:
            async for event in self.events(request):
                queue.put_nowait(event)
            queue.put_nowait(None)

        task = asyncio.ensure_future(work())
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            await asyncio.shield(task)


class LeaksASlot(Mutant):
    caught_by, says = "is_idle_in_the_end", "a slot is not given back"
    before = ("cancels_in_mid_answer",)

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        await self.free.acquire()
        self.running += 1
        yield
        self.running -= 1
        self.free.release()


class LeaksASlotInSilence(Mutant):
    caught_by, says = "survives_a_hundred_disconnects", "after 100 disconnects|hangs"
    patience = 4.0

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        await self.free.acquire()
        yield
        self.free.release()


class LeaksASlotOnErrors(Mutant):
    caught_by, says = "is_idle_in_the_end", "a slot is not given back"
    before = ("says_what_is_too_long",)

    def refuse_length(self, prompt: int) -> None:
        self.running += 1
        super().refuse_length(prompt)


class CancelsAll(Mutant):
    caught_by, says = "cancels_one_of_many", "cancelling one request breaks another"
    epoch = 0

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        epoch, whole = self.epoch, False
        try:
            async for event in events:
                if epoch != self.epoch:
                    raise InvalidRequest("cancelled")
                whole = isinstance(event, Counted)
                yield event
        finally:
            if not whole:
                self.epoch += 1


class BlocksTheLoop(Mutant):
    caught_by, says = "keeps_its_loop_free", "blocks its event loop"
    process = True
    pause = 0.0

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        first = True
        async for event in events:
            yield event
            if first:
                first = False
                await asyncio.sleep(0.2)
                time.sleep(4)  # noqa: ASYNC251 - the fault


class ServesOneAfterTheOther(Mutant):
    caught_by, says = "answers_are_not_mixed_up", "hangs"
    patience = 4.0

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        self.waiting = getattr(self, "waiting", 0) + 1
        async for event in events:
            if self.waiting > 1:
                await asyncio.get_running_loop().create_future()
            yield event
        self.waiting -= 1


class LosesWhatIsTooMuch(Mutant):
    caught_by, says = "takes_more_than_its_slots", "hangs"
    patience = 3.0

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        if self.free.locked():
            await asyncio.get_running_loop().create_future()
        async with super().slot():
            yield


# ---------------------------------------------------------------- what it says of itself


class LoadsInSilence(Mutant):
    caught_by, says = "shows_progress", "without any word of progress"

    async def show_progress(self, progress: Any) -> None:
        """Say nothing for a while."""
        await asyncio.sleep(1.2)


class GoesBackwards(Mutant):
    caught_by, says = "progress_does_not_go_back", "goes back from 9 to 3"

    async def show_progress(self, progress: Any) -> None:
        for done in (9, 3):
            progress("reading", done, 9)
            await asyncio.sleep(0.1)


class LoadsMoreThanThereIs(Mutant):
    caught_by, says = "shows_progress", "says 12 of 9"

    async def show_progress(self, progress: Any) -> None:
        progress("reading", 12, 9)
        await asyncio.sleep(0.1)


class DoesNotLoad(Mutant):
    caught_by, says = "becomes_ready", "FileNotFoundError: weights"

    async def show_progress(self, progress: Any) -> None:
        raise FileNotFoundError("weights")


class HasNoContext(Mutant):
    caught_by, says = "capabilities_make_sense", "context length is 0"
    context = 0


class HidesItsDevice(Mutant):
    caught_by, says = "capabilities_make_sense", "on which device"
    device = "unknown"


class InventsParameters(Mutant):
    caught_by, says = "capabilities_make_sense", "tempreature"
    parameters = ScriptedEngine.parameters | {"tempreature"}


class DoesMoreThanDeclared(Mutant):
    caught_by, says = "capabilities_are_declared", "it honours top_k"
    parameters = ScriptedEngine.parameters | {"top_k"}


class PromisesCompletions(Mutant):
    caught_by, says = "completes_a_text", "completes no plain text"
    tasks = frozenset({"chat", "completion"})


class CountsNothingThatRuns(Mutant):
    caught_by, says = "counts_what_runs", "its heartbeats count none"
    pause = 0.02

    def health(self) -> Health:
        return Health()


class LooksStuck(Mutant):
    caught_by, says = "heartbeats_come", "its step is 9 s old"

    def health(self) -> Health:
        return Health(step_age=9.0)


class LosesCharacters(Mutant):
    caught_by, says = "characters_stay_whole", "as a stream"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            if isinstance(event, Text) and request.stream:
                yield Text(event.text.encode("ascii", "ignore").decode() or " ", event.index)
            else:
                yield event


class FailsAtRandom(Mutant):
    caught_by, says = "keeps_going", "RuntimeError: bad luck"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        self.luck = getattr(self, "luck", random.Random(3))
        if self.luck.random() < 0.2:
            raise RuntimeError("bad luck")
        async for event in events:
            yield event


class DiesOfErrors(Mutant):
    caught_by, says = "says_what_is_too_long", "a prompt over its context is EngineDead"
    process = True

    def refuse_length(self, prompt: int) -> None:
        os._exit(1)


class KeepsMemory(Mutant):
    caught_by, says = "keeps_going", "MiB of memory"
    process = True

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        self.kept = [*getattr(self, "kept", []), b"x" * (4 << 20)]
        async for event in events:
            yield event


class NeverLeaves(Mutant):
    caught_by, says = "drains", "does not leave after the drain"
    process = True
    patience = 4.0

    async def close(self) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
