"""Engines with one fault each; ``caught_by`` names the check that must find it, ``says`` its words."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, ClassVar

from msgspec.structs import replace
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
    TokenLogprob,
    ToolCall,
    Usage,
)

Events = AsyncIterator[Event]
Altered = AsyncGenerator[Event, None]


class Mutant(ScriptedEngine):
    """A broken engine."""

    caught_by: ClassVar[str]
    says: ClassVar[str]
    before: ClassVar[tuple[str, ...]] = ()
    patience: ClassVar[float] = 20.0
    process: ClassVar[bool] = False


# ---------------------------------------------------------------- what is said


class DropsTheLastToken(Mutant):
    caught_by, says = "spends_what_it_says", "tokens are dropped"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        held: Event | None = None
        async for event in events:
            if isinstance(event, Text):
                if held is not None:
                    yield held
                held = event
            else:
                yield event


class DropsTheLastTokenOfStreams(Mutant):
    caught_by, says = "stream_says_the_same", "a stream does not say all"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        held: Event | None = None
        async for event in events:
            if isinstance(event, Text) and request.stream:
                if held is not None:
                    yield held
                held = event
            else:
                yield event


class DropsTheOnlyToken(Mutant):
    """It has no logprobs that would tell."""

    caught_by, says = "spends_what_it_says", "the last is dropped"
    parameters = ScriptedEngine.parameters - {"logprobs", "top_logprobs"}

    def say(self, request: ChatRequest) -> tuple[list[str], FinishReason]:
        words, reason = super().say(request)
        return ["", *words[:-1]], reason


class SaysNothing(Mutant):
    caught_by, says = "pieces_have_text", "the answer has no text"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            if not isinstance(event, Text):
                yield event


class SaysEmptyPieces(Mutant):
    caught_by, says = "pieces_have_text", "pieces of the answer are empty"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            if isinstance(event, Text):
                yield Text("", event.index)
            yield event


class EmitsHalfCharacters(Mutant):
    caught_by, says = "pieces_are_whole_characters", "half a character"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            if isinstance(event, Text) and not event.text.isascii():
                for byte in event.text.encode():
                    yield Text(bytes([byte]).decode("utf-8", "replace"), event.index)
            else:
                yield event


class ForgetsTheConversation(Mutant):
    caught_by, says = "whole_conversation_counts", "earlier turns are dropped"

    def count_prompt(self, request: ChatRequest) -> int:
        return len(self.text_of(request.messages[-1]).split())


class DropsParts(Mutant):
    caught_by, says = "parts_are_text", "in parts"

    def text_of(self, message: Any) -> str:
        return message.content if isinstance(message.content, str) else "parts"


class MixesUpRequests(Mutant):
    caught_by, says = "answers_side_by_side", "the counts of another"
    last = 0

    def count_prompt(self, request: ChatRequest) -> int:
        self.last = super().count_prompt(request)
        return self.last

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            if isinstance(event, Counted):
                yield Counted(replace(event.usage, prompt_tokens=self.last))
            else:
                yield event


class RepeatsItself(Mutant):
    caught_by, says = "stream_says_the_same", "as a stream"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            yield event
            if isinstance(event, Text) and request.stream:
                yield event


# ---------------------------------------------------------------- order


class FinishesTwice(Mutant):
    caught_by, says = "answers_in_order", "is finished 2 times"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            yield event
            if isinstance(event, Finish):
                yield event


class NeverFinishes(Mutant):
    caught_by, says = "answers_in_order", "Counted without a Finish"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            if not isinstance(event, Finish):
                yield event


class SpeaksAfterTheFinish(Mutant):
    caught_by, says = "answers_in_order", "come after the finish"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            yield event
            if isinstance(event, Finish):
                yield Text("and another thing")


class EndsWithoutCounting(Mutant):
    caught_by, says = "answers_in_order", "ended without Counted"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            if not isinstance(event, Counted):
                yield event


class CountsTwice(Mutant):
    caught_by, says = "answers_in_order", "events after Counted"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            yield event
            if isinstance(event, Counted):
                yield event


class YieldsWhatIsNoEvent(Mutant):
    caught_by, says = "answers_in_order", "the engine yielded 'text'"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        yield "text"  # type: ignore[misc]
        async for event in events:
            yield event


# ---------------------------------------------------------------- counts


class ForgetsUsage(Mutant):
    caught_by, says = "counts_are_told", "forgets to count the prompt"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            yield Counted(Usage()) if isinstance(event, Counted) else event


class ForgetsToCountTheAnswer(Mutant):
    caught_by, says = "counts_are_told", "forgets to count the answer"

    def count_answer(self, words: list[str], request: ChatRequest) -> int:
        return 0


class CountsOneOfSeveral(Mutant):
    caught_by, says = "gives_several_answers", "3 answers cost"

    def count_answer(self, words: list[str], request: ChatRequest) -> int:
        return len(words)


class CountsStreamsTwice(Mutant):
    caught_by, says = "counts_the_same_both_ways", "completion_tokens is"

    def count_answer(self, words: list[str], request: ChatRequest) -> int:
        return len(words) * (2 if request.stream else 1)


class CountsAnythingAsOne(Mutant):
    caught_by, says = "counts_the_prompt", "25 words"

    def count_prompt(self, request: ChatRequest) -> int:
        return 1


class CachesMoreThanThereIs(Mutant):
    caught_by, says = "counts_are_told", "more of the prompt is cached"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            yield Counted(Usage(3, 3, 9)) if isinstance(event, Counted) else event


# ---------------------------------------------------------------- limits and stops


class IgnoresMaxTokens(Mutant):
    caught_by, says = "keeps_to_max_tokens", "max_tokens is 1, and the answer has"

    def limit(self, request: ChatRequest) -> int | None:
        return None


class IsOffByOne(Mutant):
    caught_by, says = "keeps_to_max_tokens", "has 2 tokens"

    def limit(self, request: ChatRequest) -> int | None:
        return None if request.token_limit is None else request.token_limit + 1


class IgnoresTheNewerLimit(Mutant):
    caught_by, says = "newer_limit_wins", "max_completion_tokens is 3"

    def limit(self, request: ChatRequest) -> int | None:
        return request.max_tokens


class SaysStopWhenItIsCut(Mutant):
    caught_by, says = "keeps_to_max_tokens", "cut by max_tokens it ends with stop"

    def say(self, request: ChatRequest) -> tuple[list[str], FinishReason]:
        return super().say(request)[0], "stop"


class IgnoresStopTexts(Mutant):
    caught_by, says = "stops_at_a_text", "it says"

    def stop(self, words: list[str], request: ChatRequest) -> tuple[list[str], bool]:
        return words, False


class SaysTheStopText(Mutant):
    caught_by, says = "stops_at_a_text", "it says"

    def cut(self, words: list[str], end: int) -> list[str]:
        return super().cut(words, end + 3)


class StopsWithinTokensOnly(Mutant):
    caught_by, says = "stops_across_tokens", "it says"

    def stop(self, words: list[str], request: ChatRequest) -> tuple[list[str], bool]:
        stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
        if any(stop in word for stop in stops for word in words):
            return super().stop(words, request)
        return words, False


class SaysLengthWhenItStops(Mutant):
    caught_by, says = "stops_at_a_text", "ends with"

    def say(self, request: ChatRequest) -> tuple[list[str], FinishReason]:
        words, reason = super().say(request)
        return words, "length" if request.stop else reason


class LosesWhatItHeldBack(Mutant):
    caught_by, says = "stops_at_nothing_else", "the end is lost"

    def stop(self, words: list[str], request: ChatRequest) -> tuple[list[str], bool]:
        kept, stopped = super().stop(words, request)
        return (kept[:-1], stopped) if request.stop and not stopped else (kept, stopped)


class StopsAtTheFirstInTheList(Mutant):
    caught_by, says = "stops_at_the_first_of_several", "it says"

    def stop(self, words: list[str], request: ChatRequest) -> tuple[list[str], bool]:
        if isinstance(request.stop, list):
            found = [stop for stop in request.stop if stop in "".join(words)]
            request = replace(request, stop=found[:1])
        return super().stop(words, request)


class EndsAlthoughToldToGoOn(Mutant):
    caught_by, says = "goes_on_if_told", "with ignore_eos"

    def say(self, request: ChatRequest) -> tuple[list[str], FinishReason]:
        return super().say(replace(request, ignore_eos=None))


# ---------------------------------------------------------------- choosing


class GivesOneAnswer(Mutant):
    caught_by, says = "gives_several_answers", "Counted without a Finish for each answer"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            if not getattr(event, "index", 0):
                yield event


class GivesAllTheSameIndex(Mutant):
    caught_by, says = "streams_several_answers", "the stream ends with an error"

    async def alter(self, events: Events, request: ChatRequest) -> Altered:
        async for event in events:
            yield replace(event, index=0) if isinstance(event, Text | Finish) else event


class IgnoresSeeds(Mutant):
    caught_by, says = "seed_decides", "one seed, two answers"

    def form(self, text: str, request: ChatRequest) -> str:
        return f"{text} {next(self.dice)}" if request.temperature == 1 else text

    def say(self, request: ChatRequest) -> tuple[list[str], FinishReason]:
        return super().say(replace(request, max_tokens=None))


class IsNeverCertain(Mutant):
    caught_by, says = "cold_is_certain", "3 answers"

    def form(self, text: str, request: ChatRequest) -> str:
        return f"{next(self.dice)} {text}"


class TellsNoProbabilities(Mutant):
    caught_by, says = "tells_probabilities", "tells none"

    def weigh(self, word: str, request: ChatRequest) -> list[TokenLogprob] | None:
        return None


class IsMoreThanCertain(Mutant):
    caught_by, says = "tells_probabilities", "over 0"

    def weigh(self, word: str, request: ChatRequest) -> list[TokenLogprob] | None:
        return [TokenLogprob(word.encode(), 0.7)] if request.logprobs else None


class WeighsOtherTokens(Mutant):
    caught_by, says = "tells_probabilities", "its tokens join to"

    def weigh(self, word: str, request: ChatRequest) -> list[TokenLogprob] | None:
        return [TokenLogprob(b"other", -0.7)] if request.logprobs else None


class WeighsNothingInStreams(Mutant):
    caught_by, says = "streams_probabilities", "as a stream"

    def weigh(self, word: str, request: ChatRequest) -> list[TokenLogprob] | None:
        return None if request.stream else super().weigh(word, request)


class SortsTheWrongWay(Mutant):
    caught_by, says = "tells_the_likeliest", "not in order"

    def weigh(self, word: str, request: ChatRequest) -> list[TokenLogprob] | None:
        told = super().weigh(word, request)
        return told and [TokenLogprob(one.token, one.logprob, one.top[::-1]) for one in told]


class TellsTooMany(Mutant):
    caught_by, says = "tells_the_likeliest", "top_logprobs is 3, and 9 came"

    def weigh(self, word: str, request: ChatRequest) -> list[TokenLogprob] | None:
        return [TokenLogprob(word.encode(), -0.1, [(b"x", -0.1)] * 9)] if request.logprobs else None


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
        """Say nothing."""


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


def mutants() -> list[type[Mutant]]:
    """Return all of them."""
    return list(Mutant.__subclasses__())
