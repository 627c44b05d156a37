"""An engine for embeddings under load and in trouble: cancelled, overloaded, failing, closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from tests.backends.onnxruntime.embedding.conftest import Start, Tiny, embed

from hoonify_backends.onnxruntime.embedding.engine import OnnxEmbeddingEngine
from hoonify_backends.onnxruntime.embedding.model import EmbeddingModel
from hoonify_backends.onnxruntime.embedding.options import OnnxEmbeddingOptions
from hoonify_router.errors import EngineDead, ModelUnavailable, OutOfMemory, Overloaded
from hoonify_router.types import EmbeddingRequest, Event, Health


class Gate:
    """Stands before every call of the model: counts it, and lets it through when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[list[int]] = []
        self.failure: Exception | None = None
        self._lock = threading.Condition()
        self._permits = 0
        self._open = True
        plain = EmbeddingModel.embed

        def gated(model: EmbeddingModel, rows: Sequence[Any], halt: Any = None) -> Any:
            if halt is None:  # the check at load
                return plain(model, rows)
            with self._lock:
                self.calls.append([len(row) for row in rows])
                while not (self._open or self._permits or halt.requested):
                    self._lock.wait(0.01)
                self._permits = max(0, self._permits - 1)
            if self.failure is not None:
                raise self.failure
            return plain(model, rows, halt)

        monkeypatch.setattr(EmbeddingModel, "embed", gated)

    def close(self) -> None:
        self._open = False

    def pass_one(self) -> None:
        with self._lock:
            self._permits += 1
            self._lock.notify_all()

    def open(self) -> None:
        with self._lock:
            self._open = True
            self._lock.notify_all()


Until = Callable[[Callable[[], bool]], Any]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Hold the model's calls."""
    gate = Gate(monkeypatch)
    yield gate
    gate.open()


def iterate(engine: OnnxEmbeddingEngine, given: Any) -> AsyncIterator[Event]:
    return engine.embed(EmbeddingRequest("model", given))


async def test_requests_that_come_meanwhile_share_the_next_call(
    start: Start, tiny: Tiny, gate: Gate, until: Until
) -> None:
    """The model is never idle for the sake of a fuller call, and never reads one by one what may be shared."""
    engine = await start(tiny())
    gate.close()
    first = asyncio.create_task(embed(engine, "zero"))
    await until(lambda: len(gate.calls) == 1)
    others = [asyncio.create_task(embed(engine, "one " * i)) for i in range(1, 8)]
    await until(lambda: engine.health().queued == 7)
    gate.open()
    await asyncio.gather(first, *others)
    assert [sorted(call) for call in gate.calls] == [[3], [3, 4, 5, 6, 7, 8, 9]]


async def test_health_tells_of_running_and_waiting(
    start: Start, tiny: Tiny, gate: Gate, until: Until
) -> None:
    """And how long the current call has taken; nothing when idle."""
    engine = await start(tiny({"batch_tokens": 16}))
    assert engine.health() == Health()
    gate.close()
    tasks = [asyncio.create_task(embed(engine, ["zero"] * 10))]
    await until(lambda: len(gate.calls) == 1)
    tasks += [asyncio.create_task(embed(engine, ["zero"] * 10)) for _ in range(2)]
    await until(lambda: engine.health().queued == 2 and engine.health().step_age > 0)
    assert engine.health().running == 1
    gate.open()
    await asyncio.gather(*tasks)
    assert engine.health() == Health()


async def test_a_cancelled_request_is_read_no_further(
    start: Start, tiny: Tiny, gate: Gate, until: Until
) -> None:
    """Mid-way: its calls end, others' vectors come, and nothing counts as waiting."""
    engine = await start(tiny({"batch_tokens": 8}))
    gate.close()
    events = iterate(engine, ["zero"] * 20)
    first = asyncio.ensure_future(anext(events))
    await until(lambda: len(gate.calls) == 1)
    gate.pass_one()
    await first
    await until(lambda: len(gate.calls) == 2)
    await events.aclose()  # type: ignore[attr-defined]
    assert engine.health() == Health()
    calls = len(gate.calls)
    assert calls == 2
    gate.open()
    await embed(engine, "one")
    assert len(gate.calls) == calls + 1


async def test_a_request_cancelled_while_it_waits_is_never_read(
    start: Start, tiny: Tiny, gate: Gate, until: Until
) -> None:
    """Before its first call."""
    engine = await start(tiny())
    gate.close()
    running = asyncio.create_task(embed(engine, "zero"))
    await until(lambda: len(gate.calls) == 1)
    waiting = asyncio.create_task(embed(engine, ["one two three"] * 3))
    await until(lambda: engine.health().queued == 1)
    waiting.cancel()
    await until(lambda: engine.health().queued == 0)
    gate.open()
    await asyncio.gather(running, waiting, return_exceptions=True)
    assert waiting.cancelled()
    await embed(engine, "two")
    assert gate.calls == [[3], [3]]


async def test_a_call_that_nobody_waits_for_gives_the_model_back(
    start: Start, options: OnnxEmbeddingOptions, until: Until
) -> None:
    """The one request in it leaves: the engine does not read to the end of a long call."""
    engine: OnnxEmbeddingEngine = await start(options, batch_tokens=256 * 48)
    events = iterate(engine, ["word " * 250] * 48)  # a call of several seconds
    first = asyncio.ensure_future(anext(events))
    batcher = engine._batcher
    assert batcher is not None
    guess = batcher.seconds_per_token
    await until(lambda: batcher.running == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (batcher.running, engine.health()) == (0, Health())
    assert batcher.seconds_per_token == guess  # no call has come to its end yet
    await embed(engine, "and on it goes")
    assert batcher.seconds_per_token != guess


async def test_too_many_waiting_are_refused(
    start: Start, tiny: Tiny, gate: Gate, until: Until
) -> None:
    """With a time that follows from what waits and how fast the model reads; room that comes back counts."""
    engine = await start(tiny({"max_waiting": 2, "batch_tokens": 4}))
    gate.close()
    tasks = [asyncio.create_task(embed(engine, ["zero one"] * 3))]
    await until(lambda: len(gate.calls) == 1)
    tasks += [asyncio.create_task(embed(engine, ["zero one"] * 3)) for _ in range(2)]
    await until(lambda: engine.health().queued == 2)
    with pytest.raises(Overloaded, match="2 requests wait already") as caught:
        await embed(engine, "one")
    assert caught.value.retry_after == 1
    assert engine._batcher is not None
    engine._batcher.seconds_per_token = 0.3
    with pytest.raises(Overloaded) as caught:
        await embed(engine, "one")
    assert caught.value.retry_after == 11  # 36 tokens at 0.3 s, rounded up
    gate.open()
    await asyncio.gather(*tasks)
    await embed(engine, "one")


async def test_nobody_has_to_wait_where_none_may(
    start: Start, tiny: Tiny, gate: Gate, until: Until
) -> None:
    """The first request is taken at once, the second refused at once."""
    engine = await start(tiny({"max_waiting": 0}))
    gate.close()
    first = asyncio.create_task(embed(engine, "zero"))
    await until(lambda: len(gate.calls) == 1)
    with pytest.raises(Overloaded):
        await embed(engine, "one")
    gate.open()
    await first
    await embed(engine, "one")


async def test_a_failed_call_fails_its_requests_only(
    start: Start, tiny: Tiny, gate: Gate, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory may be back for the next, and clients read nothing of the engine's insides."""
    engine = await start(tiny())
    gate.close()
    lost = asyncio.create_task(embed(engine, "zero"))
    await until(lambda: len(gate.calls) == 1)
    waits = asyncio.create_task(embed(engine, "one"))
    await until(lambda: engine.health().queued == 1)
    gate.failure = RuntimeError("Failed to allocate memory for /dev/something")
    gate.pass_one()
    with pytest.raises(OutOfMemory) as caught:
        await lost
    assert "/" not in caught.value.message
    gate.failure = None
    gate.open()
    assert (await waits).usage.prompt_tokens == 3
    assert "a step of the engine failed" in caplog.text


async def test_failures_without_end_end_the_process(tiny: Tiny, gate: Gate, until: Until) -> None:
    """Nobody waits for ever, nobody is taken any more, and the supervisor gets its chance."""
    ended: list[bool] = []
    engine = OnnxEmbeddingEngine(on_fatal=lambda: ended.append(True))
    await engine.load(tiny(), lambda *stage: None)
    gate.failure = RuntimeError("device lost")
    for _ in range(3):
        with pytest.raises(EngineDead):
            await embed(engine, "zero")
    with pytest.raises(EngineDead):
        await embed(engine, "zero")
    await until(lambda: bool(ended))
    await engine.close()


async def test_closing_ends_what_runs(start: Start, tiny: Tiny, gate: Gate, until: Until) -> None:
    """At once: the call that runs is for nobody any more."""
    engine = await start(tiny())
    gate.close()
    tasks = [asyncio.create_task(embed(engine, "zero")) for _ in range(3)]
    await until(lambda: engine.health().running > 0 and bool(gate.calls))
    await engine.close()
    for task in tasks:
        with pytest.raises(EngineDead):
            await task
    with pytest.raises(ModelUnavailable):
        await embed(engine, "zero")


async def test_an_engine_that_is_not_loaded_says_so() -> None:
    """To whoever asks anything of it."""
    engine = OnnxEmbeddingEngine()
    with pytest.raises(ModelUnavailable):
        await embed(engine, "zero")
    with pytest.raises(ModelUnavailable):
        _ = engine.capabilities
    assert engine.health() == Health()
    await engine.close()


async def test_a_bad_folder_is_one_line_for_the_operator(start: Start, tiny: Tiny) -> None:
    """Whatever library finds it."""
    with pytest.raises(ModelUnavailable, match="no folder"):
        await start(OnnxEmbeddingOptions("nowhere", provider="cpu"))
    with pytest.raises(ModelUnavailable, match="cannot read the model") as caught:
        await start(tiny(graph=b"no graph at all"))
    assert "\n" not in caught.value.message


async def test_many_clients_that_come_and_leave_get_their_own(start: Start, tiny: Tiny) -> None:
    """Vectors of one request never reach another, and every counter returns to zero."""
    engine = await start(
        tiny({"batch_tokens": 24, "max_waiting": 500, "normalize": False, "pooling": "last"})
    )
    words = ["zero", "one", "two", "three", "four", "five"]

    async def client(number: int) -> None:
        for turn in range(10):
            texts = [" ".join(words[: 1 + (number + turn + i) % 6]) for i in range(1 + number % 7)]
            if (number + turn) % 4 == 0:
                task = asyncio.create_task(embed(engine, texts))
                for _ in range(turn):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                continue
            answer = await embed(engine, [[4 + (number + i) % 6] for i in range(len(texts))])
            assert answer.all[:, 0].tolist() == [5 + (number + i) % 6 for i in range(len(texts))]

    await asyncio.gather(*(client(number) for number in range(24)))
    assert engine.health() == Health()
