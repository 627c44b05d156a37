"""Level 2: how tokens are chosen and when they end: stop texts, several answers, seeds, probabilities."""

from __future__ import annotations

from hoonify_router.testing.bench import Bench
from hoonify_router.testing.client import Answer
from hoonify_router.testing.records import Level, NotApplicable, check, require

_COUNT = 24


async def _text_to_stop(bench: Bench) -> tuple[str, dict[str, object], Answer]:
    """Return an answer that can be had again, with the fields that do so."""
    fields: dict[str, object] = {**await bench.steady(), **await bench.limit(_COUNT)}
    answer = await bench.ask(await bench.words(12), **fields)
    again = await bench.ask(await bench.words(12), **fields)
    if answer.text != again.text:
        raise NotApplicable("it does not say the same twice")
    if len(answer.text) < 12:
        raise NotApplicable(f"its answer is too short for it: {answer.text!r}")
    return answer.text, fields, answer


async def _stopped(bench: Bench, stop: object, want: str, fields: dict[str, object]) -> None:
    """Check an answer that is ended by ``stop``, in one piece and as a stream."""
    prompt = await bench.words(12)
    whole = await bench.ask(prompt, stop=stop, **fields)
    told = await bench.tell(prompt, stop=stop, **fields)
    for text, how in ((whole.text, "in one piece"), (told.text(), "as a stream")):
        require(text == want, f"stopped by {stop!r} it says {text!r} {how}, not {want!r}")
    ends = {str(whole.finish), *told.finishes()}
    require(ends == {"stop"}, f"stopped by {stop!r} it ends with {sorted(ends)}, not with stop")


@check(Level.SEMANTICS, task="chat", needs=("stop",))
async def stops_at_a_text(bench: Bench) -> None:
    """A stop text ends the answer and is not part of it."""
    text, fields, _ = await _text_to_stop(bench)
    middle = len(text) // 2
    stop = text[middle : middle + 3]
    await _stopped(bench, stop, text[: text.index(stop)], fields)


@check(Level.SEMANTICS, task="chat", needs=("stop",))
async def stops_across_tokens(bench: Bench) -> None:
    """A stop text that spans several tokens, and so several chunks, is found; nothing of it leaks."""
    text, fields, _ = await _text_to_stop(bench)
    start = max(len(text) // 3, 1)
    stop = text[start : start + 9]
    await _stopped(bench, stop, text[: text.index(stop)], fields)


@check(Level.SEMANTICS, task="chat", needs=("stop",))
async def stops_at_the_first_of_several(bench: Bench) -> None:
    """Of several stop texts the one that comes first ends the answer."""
    text, fields, _ = await _text_to_stop(bench)
    third = len(text) // 3
    late, early = text[2 * third : 2 * third + 4], text[third : third + 4]
    ends = [text.index(late), text.index(early)]
    await _stopped(bench, [late, early, "\u2603never"], text[: min(ends)], fields)


@check(Level.SEMANTICS, task="chat", needs=("stop",))
async def stops_at_nothing_else(bench: Bench) -> None:
    """A stop text that does not occur changes nothing: what was held back for it comes out."""
    text, fields, answer = await _text_to_stop(bench)
    prompt = await bench.words(12)
    stop = text[-3:] + "\u2603never"
    whole = await bench.ask(prompt, stop=[stop, "\u2603"], **fields)
    told = await bench.tell(prompt, stop=[stop, "\u2603"], **fields)
    for said, how in ((whole.text, "in one piece"), (told.text(), "as a stream")):
        lost = f"the end is lost to a stop text that did not come: {said!r} {how}, not {text!r}"
        require(said == text, lost)
    require(whole.finish == answer.finish, f"it ends with {whole.finish}, not {answer.finish}")


@check(Level.SEMANTICS, task="chat", needs=("stop",))
async def stopped_text_is_counted(bench: Bench) -> None:
    """An answer that a stop text ends early costs fewer tokens than the whole."""
    text, fields, answer = await _text_to_stop(bench)
    stop = text[len(text) // 2 : len(text) // 2 + 3]
    short = await bench.ask(await bench.words(12), stop=stop, **fields)
    counts = short.usage["completion_tokens"], answer.usage["completion_tokens"]
    require(counts[0] <= counts[1], f"stopped early it costs {counts[0]} tokens, whole {counts[1]}")


@check(Level.SEMANTICS, task="chat", needs=("n",))
async def gives_several_answers(bench: Bench) -> None:
    """`n` answers come, each with its own index, and all of their tokens are counted."""
    one = await bench.ask()
    three = await bench.ask(n=3)
    indices = sorted(choice["index"] for choice in three.json["choices"])
    require(indices == [0, 1, 2], f"n is 3, and the answers have the indices {indices}")
    counts = one.usage["completion_tokens"], three.usage["completion_tokens"]
    require(counts[1] > counts[0], f"3 answers cost {counts[1]} tokens, one {counts[0]}")


@check(Level.SEMANTICS, task="chat", needs=("n",))
async def streams_several_answers(bench: Bench) -> None:
    """In a stream, each of `n` answers has its text and finishes once."""
    told = await bench.tell(n=2)
    for index in range(2):
        require(told.text(index) or told.choices(index), f"answer {index} of 2 says nothing")
        finishes = told.finishes(index)
        require(len(finishes) == 1, f"answer {index} of 2 finishes {len(finishes)} times")
    strays = {c["index"] for event in told.events for c in event.get("choices") or []} - {0, 1}
    require(not strays, f"n is 2, and there are answers with the indices {sorted(strays)}")


@check(Level.SEMANTICS, task="chat", needs=("seed",))
async def seed_decides(bench: Bench) -> None:
    """Equal requests with equal seeds get equal answers."""
    fields = {"temperature": 1} if await bench.supports("temperature") is not False else {}
    first = await bench.ask(seed=11, **fields)
    second = await bench.ask(seed=11, **fields)
    require(first.text == second.text, f"one seed, two answers: {first.text!r}, {second.text!r}")


@check(Level.SEMANTICS, task="chat", needs=("temperature",))
async def cold_is_certain(bench: Bench) -> None:
    """At temperature 0 the same request gets the same answer."""
    answers = {(await bench.ask(temperature=0)).text for _ in range(3)}
    require(len(answers) == 1, f"at temperature 0 it gave {len(answers)} answers")


@check(Level.SEMANTICS, task="chat", needs=("logprobs",))
async def tells_probabilities(bench: Bench) -> None:
    """With `logprobs` each token comes with its bytes and a probability; joined they are the text."""
    answer = await bench.ask(logprobs=True)
    tokens = (answer.choice().get("logprobs") or {}).get("content") or []
    require(tokens, "it was asked for logprobs and tells none")
    count = answer.usage["completion_tokens"]
    require(len(tokens) <= count, f"{len(tokens)} tokens have logprobs, and {count} are counted")
    for token in tokens:
        require(token["logprob"] <= 0, f"a logprob is {token['logprob']}: over 0")
    joined = b"".join(bytes(token.get("bytes") or ()) for token in tokens)
    said = joined.decode("utf-8", "replace")
    fits = said.startswith(answer.text) or answer.text in said
    require(fits, f"its tokens join to {said!r}, its text is {answer.text!r}")


@check(Level.SEMANTICS, task="chat", needs=("logprobs",))
async def streams_probabilities(bench: Bench) -> None:
    """In a stream the same tokens have probabilities, and their text is the stream's."""
    steady = await bench.steady()
    whole = await bench.ask(logprobs=True, **steady)
    told = await bench.tell(logprobs=True, **steady)
    if whole.text != told.text():
        raise NotApplicable("it did not say the same twice")
    tokens = (whole.choice().get("logprobs") or {}).get("content") or []
    first, second = ["".join(t["token"] for t in one) for one in (tokens, told.logprobs())]
    require(first == second, f"the tokens are {first!r} in one piece, {second!r} as a stream")


@check(Level.SEMANTICS, task="chat", needs=("logprobs", "top_logprobs"))
async def tells_the_likeliest(bench: Bench) -> None:
    """`top_logprobs` of the likeliest tokens come with each token, the likeliest first."""
    steady = await bench.steady()
    answer = await bench.ask(logprobs=True, top_logprobs=3, **steady)
    for token in (answer.choice().get("logprobs") or {}).get("content") or []:
        top = [one["logprob"] for one in token["top_logprobs"]]
        require(0 < len(top) <= 3, f"top_logprobs is 3, and {len(top)} came")
        require(top == sorted(top, reverse=True), f"top_logprobs are not in order: {top}")


@check(Level.SEMANTICS, task="chat", needs=("logit_bias",))
async def takes_a_bias(bench: Bench) -> None:
    """`logit_bias` is heeded: a bias that forces one token changes the answer."""
    steady = await bench.steady()
    plain = await bench.ask(**steady)
    forced = await bench.ask(logit_bias={"5": 100}, **steady)
    require(forced.text != plain.text, "a bias of 100 for one token changes nothing")


@check(Level.SEMANTICS, task="chat", needs=("frequency_penalty", "presence_penalty"))
async def takes_penalties(bench: Bench) -> None:
    """Penalties are accepted over their whole range, and answers stay answers."""
    for value in (-2, 2):
        answer = await bench.ask(frequency_penalty=value, presence_penalty=value)
        require(answer.finish, f"with penalties of {value} the answer does not finish")


@check(Level.SEMANTICS, task="chat", needs=("temperature", "top_p"))
async def takes_extreme_sampling(bench: Bench) -> None:
    """The ends of the ranges of temperature and top_p are fine."""
    for fields in ({"temperature": 2}, {"top_p": 0}, {"temperature": 0, "top_p": 1}):
        await bench.ask(**fields)


@check(Level.SEMANTICS, task="chat", needs=("ignore_eos", "max_tokens"))
async def goes_on_if_told(bench: Bench) -> None:
    """With `ignore_eos` the answer goes on to its limit."""
    answer = await bench.ask(ignore_eos=True, max_tokens=40)
    count = answer.usage["completion_tokens"]
    require(count == 40, f"with ignore_eos and max_tokens 40 the answer has {count} tokens")
    require(answer.finish == "length", f"with ignore_eos it ends with {answer.finish}")
