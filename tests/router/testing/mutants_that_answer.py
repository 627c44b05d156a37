"""Engines whose answers have one fault each: in words, order, counts, limits, choices."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from tests.router.testing.mutant import Altered, Events, Mutant
from tests.router.testing.scripted import ScriptedEngine

from hoonify_router.types import (
    ChatRequest,
    Counted,
    Event,
    Finish,
    FinishReason,
    Text,
    TokenLogprob,
    Usage,
)

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


class SaysThatItSees(Mutant):
    """And drops the image."""

    caught_by, says = "sees_images_or_refuses_them", "an image costs 0 tokens"
    images = True


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
