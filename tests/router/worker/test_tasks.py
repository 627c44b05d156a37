"""All kinds of requests, and word of each slot that a cancelled one gives back."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import Struct

from hoonify_router.api import Engine, ProgressCallback
from hoonify_router.errors import RouterError, WrongEndpoint
from hoonify_router.protocol import WINDOW, Ready
from hoonify_router.supervisor.lifecycle import Trouble
from hoonify_router.supervisor.warm_up import warm_up
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Counted,
    Embedded,
    EmbeddingRequest,
    Event,
    Finish,
    InferenceRequest,
    Message,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)

PLENTY = 20_000
TOLD = TokenLogprob(b"a", -1.0, [(b"b", -2.0)] * 20)


class NoOptions(Struct):
    """Nothing to choose."""


class Multi(Engine[NoOptions]):
    """Serves everything but chat; a slow ``finally`` shows who waits for it."""

    options_type = NoOptions

    async def load(self, options: NoOptions, progress: ProgressCallback) -> None:
        """Load nothing."""
        self.asked: list[InferenceRequest] = []
        self.yielded = 0
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.open = 0

    @property
    def capabilities(self) -> Capabilities:
        """Return all tasks but chat."""
        return Capabilities(frozenset(), 10, tasks=frozenset({"completion", "embedding"}))

    async def complete(self, request: CompletionRequest) -> AsyncIterator[Event]:
        """Say the prompt, for ever when it says so, with many probabilities when it says that."""
        self.asked.append(request)
        self.open += 1
        try:
            for index, prompt in enumerate(request.prompts):
                if prompt == "likely":
                    for _ in range(PLENTY):
                        self.yielded += 1
                        yield Text("", index, [TOLD])
                yield Text(str(prompt), index, [TOLD])
                if prompt == "hang":
                    await asyncio.get_running_loop().create_future()
                yield Finish("stop", index)
            yield Counted(Usage(1, 1))
        finally:
            await self.let_go.wait()
            self.open -= 1

    async def embed(self, request: EmbeddingRequest) -> AsyncIterator[Event]:
        """Number the inputs."""
        self.asked.append(request)
        for index in reversed(range(request.choices)):
            yield Embedded(struct.pack("<2f", index, 0.5), index)
        if request.dimensions:
            yield Finish("stop")  # a breach
        yield Counted(Usage(request.choices))


class Tools(Multi):
    """Calls functions in many small pieces."""

    async def complete(self, request: CompletionRequest) -> AsyncIterator[Event]:
        """Call two functions."""
        for number in range(2):
            yield ToolCall(number, f"f{number}")
            for _ in range(500):
                yield ToolCall(number, "", "x")
        yield Finish("tool_calls")
        yield Counted(Usage(1, 1))


@pytest.fixture
async def multi(start_host: Any) -> Any:
    """Return a host whose engine is a ``Multi``."""
    running = await start_host(Multi)
    assert isinstance(await running.load(), Ready)
    return running


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - any condition, not one event
            await asyncio.sleep(0.001)


def engine_of(running: Any) -> Any:
    return running.host._engine


async def asked(connection: Any, heard: Any, request: InferenceRequest) -> Any:
    """Ask and wait for the end."""
    heard.rid = connection.submit(request, heard)
    async with asyncio.timeout(60):
        await heard.ended.wait()
    return heard


async def test_completions_and_embeddings_are_served(multi: Any, sink: Any) -> None:
    """Each by its own method of the engine, on one connection."""
    connection = await multi.connect()
    heard = await asked(connection, sink(connection), CompletionRequest("m", ["a", "b"]))
    assert heard.events == [
        Text("a", 0, [TOLD]),
        Finish("stop"),
        Text("b", 1, [TOLD]),
        Finish("stop", 1),
        Counted(Usage(1, 1)),
    ]
    heard = await asked(connection, sink(connection), EmbeddingRequest("m", ["a", "b"]))
    assert heard.events == [
        Embedded(struct.pack("<2f", 1, 0.5), 1),
        Embedded(struct.pack("<2f", 0, 0.5), 0),
        Counted(Usage(2)),
    ]
    assert [type(one) for one in engine_of(multi).asked] == [CompletionRequest, EmbeddingRequest]


async def test_what_an_engine_does_not_do_is_refused(multi: Any, echo: Any, sink: Any) -> None:
    """By the name of what it lacks, not as a failure of the engine."""
    connection = await multi.connect()
    chat = ChatRequest("m", [Message("user", "hi")])
    assert type((await asked(connection, sink(connection), chat)).error) is WrongEndpoint


async def test_an_embedding_that_finishes_like_a_chat_breaks_the_contract(
    multi: Any, sink: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Its client hears of a failure, the log of the reason."""
    connection = await multi.connect()
    heard = await asked(connection, sink(connection), EmbeddingRequest("m", "a", dimensions=1))
    assert type(heard.error) is RouterError
    assert "Finish in an answer of another kind" in caplog.text


# ---------------------------------------------------------------- slow readers


async def test_a_slow_reader_makes_the_engine_wait(multi: Any, sink: Any) -> None:
    """What waits is bounded although its texts are empty, and all of it arrives in the end."""
    connection = await multi.connect()
    slow = sink(connection, slow=True)
    slow.rid = connection.submit(CompletionRequest("m", "likely"), slow)
    (serving,) = await multi_servings(multi)
    await until(lambda: serving.held_back)
    assert engine_of(multi).yielded < PLENTY / 2
    assert multi.host._health().step_age == 0  # it is not the engine that is slow
    slow.slow = False
    connection.grant(slow.rid, WINDOW)
    async with asyncio.timeout(60):
        await slow.ended.wait()
    texts = [event for event in slow.events if isinstance(event, Text)]
    assert sum(len(text.logprobs or ()) for text in texts) == PLENTY + 1


async def multi_servings(running: Any) -> tuple[Any, ...]:
    """Wait until the host serves something."""
    await until(lambda: running.host._servings)
    return tuple(running.host._servings)


async def test_who_is_held_back_can_be_cancelled(multi: Any, sink: Any) -> None:
    """The engine's iterator is closed while it waits for room."""
    connection = await multi.connect()
    slow = sink(connection, slow=True)
    slow.rid = connection.submit(CompletionRequest("m", "likely"), slow)
    (serving,) = await multi_servings(multi)
    await until(lambda: serving.held_back)
    released = asyncio.Event()
    connection.cancel(slow.rid, lambda usage: released.set())
    async with asyncio.timeout(60):
        await released.wait()
    assert engine_of(multi).open == 0


async def test_pieces_of_a_call_are_joined_for_a_slow_reader(start_host: Any, sink: Any) -> None:
    """A thousand pieces arrive as few, whole and in order."""
    running = await start_host(Tools)
    await running.load()
    connection = await running.connect()
    slow = sink(connection, slow=True)
    slow.rid = connection.submit(CompletionRequest("m", "a"), slow)
    await until(
        lambda: running.host._servings and not any(s.running for s in running.host._servings)
    )
    connection.grant(slow.rid, WINDOW)
    async with asyncio.timeout(60):
        await slow.ended.wait()
    calls = [event for event in slow.events if isinstance(event, ToolCall)]
    assert [call.name for call in calls if call.name] == ["f0", "f1"]
    assert [sum(len(c.arguments) for c in calls if c.number == n) for n in (0, 1)] == [500, 500]
    assert len(calls) < WINDOW + 5


# ---------------------------------------------------------------- released slots


async def test_released_comes_once_the_iterator_is_closed(multi: Any, sink: Any) -> None:
    """Not before: until then the slot is taken."""
    connection = await multi.connect()
    heard = sink(connection)
    heard.rid = connection.submit(CompletionRequest("m", "hang"), heard)
    await heard.first.wait()
    engine_of(multi).let_go.clear()
    released: list[int] = []
    connection.cancel(heard.rid, lambda usage: released.append(engine_of(multi).open))
    await asked(connection, sink(connection), EmbeddingRequest("m", "a"))  # frames came and went
    assert released == []
    engine_of(multi).let_go.set()
    await until(lambda: released)
    assert released == [0]
    assert not heard.ended.is_set()


async def test_released_comes_for_what_ended_at_the_same_moment(multi: Any, sink: Any) -> None:
    """Nobody waits for ever: the worker answers each cancellation, also of what it has forgotten."""
    connection = await multi.connect()
    heard = sink()  # its grants never come, but its answer fits into the window
    heard.rid = connection.submit(CompletionRequest("m", "a"), heard)
    await until(lambda: engine_of(multi).asked and not multi.host._servings)
    released = asyncio.Event()
    connection._sinks.setdefault(heard.rid, heard)  # as if its last event were still on its way
    connection.cancel(heard.rid, lambda usage: released.set())
    async with asyncio.timeout(60):
        await released.wait()


async def test_released_tells_what_an_abandoned_request_has_cost(multi: Any, sink: Any) -> None:
    """A token for each piece, by an engine that does not tell; nothing of the prompt is known then."""
    connection = await multi.connect()
    heard = sink(connection)
    heard.rid = connection.submit(CompletionRequest("m", "hang"), heard)
    await heard.first.wait()
    told: list[Usage | None] = []
    connection.cancel(heard.rid, told.append)
    await until(lambda: told)
    assert told == [Usage(0, 1)]


async def test_a_metered_engine_is_believed(echo: Any, sink: Any) -> None:
    """It has read the prompt, and said a few words of a long answer."""
    connection = await echo.connect()
    heard = sink(connection)
    said = "[[delay 0.001]] one two three [[hang after 2]]"
    heard.rid = connection.submit(ChatRequest("m", [Message("user", said)]), heard)
    await until(lambda: len(heard.events) == 2)
    told: list[Usage | None] = []
    connection.cancel(heard.rid, told.append)
    await until(lambda: told)
    assert told == [Usage(8, 2)]


async def test_what_is_complete_when_it_is_cancelled_costs_what_was_counted(
    multi: Any, sink: Any
) -> None:
    """Its last event is on its way, and tells everything."""
    connection = await multi.connect()
    heard = sink(connection)
    heard.rid = connection.submit(CompletionRequest("m", "hang"), heard)
    await heard.first.wait()
    told: list[Usage | None] = []
    connection.cancel(heard.rid, told.append)
    connection._deliver({heard.rid: [Counted(Usage(5, 6))]})
    assert told == [Usage(5, 6)]


async def test_nothing_is_kept_for_a_worker_that_is_gone(multi: Any, sink: Any) -> None:
    """Its slots went with it; neither is anything told of requests that nobody knows."""
    connection = await multi.connect()
    heard = sink(connection)
    heard.rid = connection.submit(CompletionRequest("m", "hang"), heard)
    await heard.first.wait()
    told: list[int] = []
    connection.cancel(999, lambda: told.append(999))
    engine_of(multi).let_go.clear()
    connection.cancel(heard.rid, lambda: told.append(heard.rid))
    connection.close()
    await connection.lost
    engine_of(multi).let_go.set()
    await until(lambda: engine_of(multi).open == 0)
    assert told == []
    assert not connection._releases


async def test_a_listener_that_fails_harms_nobody(multi: Any, sink: Any) -> None:
    """It is logged; the connection goes on."""
    connection = await multi.connect()
    heard = sink(connection)
    heard.rid = connection.submit(CompletionRequest("m", "hang"), heard)
    await heard.first.wait()
    connection.cancel(heard.rid, lambda: 1 / 0)
    heard = await asked(connection, sink(connection), EmbeddingRequest("m", "a"))
    assert heard.error is None


# ---------------------------------------------------------------- warm-up


@pytest.mark.parametrize(
    ("tasks", "parameters", "expected"),
    [
        ({"completion"}, {"max_tokens"}, CompletionRequest("m", "Hello", max_tokens=1)),
        ({"completion", "embedding"}, set(), CompletionRequest("m", "Hello")),
        ({"embedding"}, {"dimensions"}, EmbeddingRequest("m", "Hello")),
    ],
)
async def test_the_warm_up_asks_for_what_the_engine_does(
    multi: Any, tasks: set[Any], parameters: set[str], expected: InferenceRequest
) -> None:
    """As little of it as can be."""
    connection = await multi.connect()
    capabilities = Capabilities(frozenset(parameters), 10, tasks=frozenset(tasks))
    await warm_up(connection, "m", capabilities)
    assert engine_of(multi).asked == [expected]


@pytest.mark.parametrize("tasks", [{"chat"}, {"chat", "completion"}])
async def test_a_chat_is_preferred_for_the_warm_up(multi: Any, tasks: set[Any]) -> None:
    """This engine does not chat, whatever it claims, and so it does not become ready."""
    connection = await multi.connect()
    with pytest.raises(Trouble) as caught:
        await warm_up(connection, "m", Capabilities(frozenset(), 10, tasks=frozenset(tasks)))
    assert "WrongEndpoint" in caught.value.detail
