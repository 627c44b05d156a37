"""Level 1: the engine in its worker, from hello to ready, and one request at a time."""

from __future__ import annotations

import asyncio
import math

from hoonify_router.errors import ContextLengthExceeded, RouterError
from hoonify_router.protocol import PROTOCOL_VERSION, Hello, LoadFailed, Ready
from hoonify_router.testing.bench import Bench
from hoonify_router.testing.checks.schema import FIELDS
from hoonify_router.testing.homes import Worker
from hoonify_router.testing.records import Level, NotApplicable, check, require
from hoonify_router.testing.sink import Sink
from hoonify_router.types import Capabilities, Health, Reasoning, Text

SCRIPTS = "Zoë 🦜 naïve 東京 🏳️\u200d🌈 e\u0301 мир שלום"
"""Characters of one to four bytes, some of which are several code points."""


def capabilities_of(worker: Worker) -> Capabilities:
    """Return what a loaded engine has told."""
    assert worker.capabilities is not None
    return worker.capabilities


def good(bench: Bench, sink: Sink) -> Sink:
    """Return a request's events; it must not have failed."""
    if sink.error is not None:
        told = f"{type(sink.error).__name__}: {sink.error.message}"
        require(False, f"it fails with {told}{bench.last_words}")
    return sink


@check(Level.PROTOCOL, kind="worker")
async def becomes_ready(bench: Bench) -> None:
    """It loads its model and says that it is ready."""
    await bench.worker()


@check(Level.PROTOCOL, kind="worker")
async def shows_progress(bench: Bench) -> None:
    """It says how far its load has come: without a word for long, a load is taken for stalled."""
    worker = await bench.worker()
    if not worker.progress and worker.load_seconds < 1:
        raise NotApplicable("its load is over at once")
    require(worker.progress, "it loads without any word of progress: call `progress` in `load`")
    for one in worker.progress:
        require(one.stage.strip(), "a progress has no stage")
        fits = one.total == 0 or 0 <= one.done <= one.total
        require(fits, f"its progress says {one.done} of {one.total} in {one.stage!r}")


@check(Level.PROTOCOL, kind="worker")
async def progress_does_not_go_back(bench: Bench) -> None:
    """Within a stage of the load, progress only goes forward."""
    worker = await bench.worker()
    last: dict[str, int] = {}
    for one in worker.progress:
        before = last.get(one.stage, 0)
        require(one.done >= before, f"its progress goes back from {before} to {one.done}")
        last[one.stage] = one.done


@check(Level.PROTOCOL, kind="worker")
async def says_hello(bench: Bench) -> None:
    """Its worker speaks our protocol and says who it is."""
    worker = await bench.worker()
    heard: list[object] = []
    connection = await worker.connect("gateway", heard.append)
    connection.close()
    hello = connection.peer
    require(isinstance(hello, Hello) and hello.role == "worker", "it does not say hello")
    assert isinstance(hello, Hello)
    require(hello.protocol <= PROTOCOL_VERSION, f"it speaks protocol {hello.protocol}")
    require(hello.version and hello.pid, "its hello tells no version or no process")


@check(Level.PROTOCOL, kind="worker")
async def capabilities_make_sense(bench: Bench) -> None:
    """What a loaded engine says of itself is plausible and told in full."""
    told = capabilities_of(await bench.worker())
    require(told.context_length >= 1, f"its context length is {told.context_length}")
    require(told.slots >= 1, f"it has {told.slots} slots")
    require(told.tasks, "it has no task")
    require(told.device not in ("", "unknown"), "it does not say on which device it runs")
    unknown = sorted(told.parameters - FIELDS)
    require(not unknown, f"it honours fields that no request has: {', '.join(unknown)}")


@check(Level.PROTOCOL, kind="worker")
async def capabilities_are_declared(bench: Bench) -> None:
    """The loaded engine does no more than its backend declares, where that declares anything."""
    told = capabilities_of(await bench.worker())
    backend = bench.subject.backend
    more = sorted(set(told.tasks) - set(backend.tasks))
    require(not more, f"it does {', '.join(more)}, and its backend does not declare that")
    if backend.parameters:
        fields = sorted(told.parameters - backend.parameters)
        require(
            not fields, f"it honours {', '.join(fields)}, and its backend does not declare that"
        )


@check(Level.PROTOCOL, kind="worker")
async def greets_late_clients(bench: Bench) -> None:
    """A gateway that comes later is told at once that the engine is ready."""
    worker = await bench.worker()
    heard: asyncio.Queue[object] = asyncio.Queue()
    await worker.connect("gateway", heard.put_nowait)
    async with asyncio.timeout(bench.patience / 2):
        while not isinstance(await heard.get(), Ready):
            pass


@check(Level.PROTOCOL, kind="worker")
async def heartbeats_come(bench: Bench) -> None:
    """It gives signs of life, and counts nothing while there is nothing to do."""
    worker = await bench.worker()
    await worker.idle(bench.patience / 2)
    health = worker.health
    assert health is not None
    require(health.step_age < 1, f"it is idle, and its step is {health.step_age:g} s old")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def answers_in_order(bench: Bench) -> None:
    """An answer is pieces, then one finish, then the counts, then nothing."""
    sink = good(bench, await bench.hear(await bench.chat()))
    kinds = [type(event).__name__ for event in sink.events]
    finishes = len(sink.finishes)
    require(finishes == 1, f"an answer is finished {finishes} times: {kinds}")
    require(kinds[-1] == "Counted", f"the counts are not the last event: {kinds}")
    require(kinds.count("Counted") == 1, f"it counts {kinds.count('Counted')} times")
    after = kinds[kinds.index("Finish") + 1 : -1]
    require(not after, f"{after} come after the finish")
    require(not sink.after_end, "events come after the counts")
    worker = await bench.worker()
    require("broke its contract" not in worker.last_words, worker.last_words)


@check(Level.PROTOCOL, kind="worker", task="chat")
async def pieces_have_text(bench: Bench) -> None:
    """An answer says something, and no piece of it is empty for no reason."""
    sink = good(bench, await bench.hear(await bench.chat()))
    require(sink.said, "the answer has no text")
    empty = [
        event
        for event in sink.events
        if (isinstance(event, Text) and not event.text and not event.logprobs)
        or (isinstance(event, Reasoning) and not event.text)
    ]
    require(not empty, f"{len(empty)} pieces of the answer are empty")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def pieces_are_whole_characters(bench: Bench) -> None:
    """No piece holds half a character, whatever the tokens are."""
    request = await bench.chat(SCRIPTS, **await bench.limit(48))
    sink = good(bench, await bench.hear(request))
    for event in sink.events:
        if isinstance(event, Text | Reasoning):
            broken = "\ufffd" in event.text
            require(not broken, f"a piece of the answer holds half a character: {event.text!r}")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def counts_are_told(bench: Bench) -> None:
    """It counts the tokens of prompt and answer."""
    sink = good(bench, await bench.hear(await bench.chat()))
    usage = sink.usage
    assert usage is not None
    require(usage.prompt_tokens > 0, "it forgets to count the prompt's tokens")
    require(usage.completion_tokens > 0, "it forgets to count the answer's tokens")
    require(usage.cached_tokens <= usage.prompt_tokens, "more of the prompt is cached than it has")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def events_are_finite(bench: Bench) -> None:
    """No number in an answer is a NaN."""
    sink = good(bench, await bench.hear(await bench.chat()))
    for event in sink.events:
        if isinstance(event, Text) and event.logprobs:
            require(not any(math.isnan(one.logprob) for one in event.logprobs), "a logprob is NaN")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def says_what_is_too_long(bench: Bench) -> None:
    """A prompt over the context is refused as `ContextLengthExceeded`, before any event."""
    context = await bench.context()
    request = await bench.chat(await _too_long(context))
    sink = await bench.hear(request)
    require(sink.error is not None, "a prompt over its context is answered all the same")
    kind = type(sink.error).__name__
    require(isinstance(sink.error, ContextLengthExceeded), f"a prompt over its context is {kind}")
    require(not sink.events, "it had begun to answer before it refused the prompt")


async def _too_long(context: int) -> str:
    if context > 200_000:
        raise NotApplicable("its context is too long to be filled by a test")
    return "one two three four " * (context // 2 + 16)


@check(Level.PROTOCOL, kind="worker", task="chat")
async def errors_concern_one_request(bench: Bench) -> None:
    """A request that fails leaves its neighbours alone."""
    context = await bench.context()
    bad = await bench.chat(await _too_long(context))
    fine = await bench.long_chat()
    async with bench.connection() as connection:
        first = Sink.ask(connection, fine)
        failed = await Sink.ask(connection, bad).end()
        second = Sink.ask(connection, await bench.chat())
        good(bench, await first.end())
        good(bench, await second.end())
        require(failed.error is not None, "the prompt over its context did not fail")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def errors_are_typed(bench: Bench) -> None:
    """What the engine refuses comes as one of the router's errors, with words that help."""
    context = await bench.context()
    sink = await bench.hear(await bench.chat(await _too_long(context)))
    require(isinstance(sink.error, RouterError), "the error is not one of the router's")
    assert sink.error is not None
    kind = type(sink.error)
    plain = kind is RouterError
    require(
        not plain, f"it swallows the cause: a client reads {sink.error.message!r}{bench.last_words}"
    )
    require(sink.error.message.strip(), "its error has no message")
    leaks = [word for word in sink.error.message.split() if word.count("/") > 1]
    require(not leaks, f"its error tells a path: {leaks[:1]}")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def answers_side_by_side(bench: Bench) -> None:
    """Requests do not wait for each other while slots are free, and none gets another's answer."""
    many = min(await bench.slots(), 4)
    counts = []
    requests = [await bench.chat(await bench.words(3 + 5 * n)) for n in range(many)]
    for request in requests:
        counts.append(good(bench, await bench.hear(request)).usage)
    async with bench.connection() as connection:
        sinks = [Sink.ask(connection, request) for request in requests]
        for sink, alone in zip(sinks, counts, strict=True):
            together = good(bench, await sink.end()).usage
            assert together is not None
            assert alone is not None
            same = together.prompt_tokens == alone.prompt_tokens
            require(same, "side by side, a request gets the counts of another")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def takes_more_than_its_slots(bench: Bench) -> None:
    """More requests than slots wait for their turn, or are refused as `Overloaded`; none is lost."""
    many = min(await bench.slots() + 3, 64)
    async with bench.connection() as connection:
        sinks = [Sink.ask(connection, await bench.chat()) for _ in range(many)]
        for sink in sinks:
            await sink.end()
            if sink.error is not None:
                kind = type(sink.error).__name__
                require(sink.error.status == 429, f"with more requests than slots, one is {kind}")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def keeps_its_loop_free(bench: Bench) -> None:
    """While it computes, its worker still answers: heavy work belongs into a thread."""
    worker = await bench.worker()
    loop = asyncio.get_running_loop()
    async with bench.connection() as connection:
        sink = Sink.ask(connection, await bench.long_chat())
        await sink.begun.wait()
        asked = loop.time()
        worst = 0.0
        while not sink.ended.is_set():
            began = loop.time()
            other = await worker.connect()
            other.close()
            worst = max(worst, loop.time() - began)
            await asyncio.sleep(0.1)
        lasted = loop.time() - asked
    blocked = worst > 3 and worst > 0.5 * lasted
    require(not blocked, f"it blocks its event loop: nobody was answered for {worst:.1f} s")


@check(Level.PROTOCOL, kind="worker", task="chat")
async def counts_what_runs(bench: Bench) -> None:
    """Heartbeats tell how many requests run."""
    worker = await bench.worker()
    beats: list[Health] = []
    async with bench.connection() as connection:
        sink = Sink.ask(connection, await bench.long_chat())
        await sink.begun.wait()
        ended = asyncio.ensure_future(sink.ended.wait())
        while len(beats) < 3 and not ended.done():
            beat = asyncio.ensure_future(worker.next_beat())
            await asyncio.wait({beat, ended}, return_when=asyncio.FIRST_COMPLETED)
            if beat.done() and not ended.done():
                beats.append(beat.result())
            beat.cancel()
        ended.cancel()
        sink.cancel()
    if len(beats) < 2:
        raise NotApplicable("its answers are over before two heartbeats come")
    counted = any(beat.running or beat.queued for beat in beats)
    require(counted, "a request runs, and its heartbeats count none")


@check(Level.PROTOCOL, kind="worker")
async def refuses_wrong_options(bench: Bench) -> None:
    """Options that do not fit end the load with words that tell which, not with a crash."""
    worker = bench.new_process(no_such_option=1)
    try:
        await worker.spawn()
        outcome = await worker.load()
        require(isinstance(outcome, LoadFailed), "it loads with an option that does not exist")
        assert isinstance(outcome, LoadFailed)
        names = "no_such_option" in outcome.message
        require(names, f"the load fails without the option's name: {outcome.message!r}")
        require(await worker.gone(bench.patience / 2), "its process stays after a failed load")
    finally:
        await worker.stop()
