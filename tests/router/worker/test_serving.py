"""Whatever an engine does, its client gets one truthful end and other requests go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
from msgspec import Struct

from hoonify_router import errors
from hoonify_router.api import Engine, ProgressCallback
from hoonify_router.protocol import Ready
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    Counted,
    Event,
    Failure,
    Finish,
    Message,
    Text,
    Usage,
)
from hoonify_router.worker.serving import failure_of

END: list[Event] = [Finish("stop"), Counted(Usage(1, 1))]


class NoOptions(Struct):
    """Nothing to choose."""


class Stubborn(errors.Overloaded):
    """An engine's own error, unknown on the other side."""


class CustomEngine(Engine[NoOptions]):
    """Answers with whatever the test put into ``answers``, by the message's text."""

    options_type = NoOptions
    answers: ClassVar[dict[str, Any]] = {}
    closed: ClassVar[list[str]] = []

    async def load(self, options: NoOptions, progress: ProgressCallback) -> None:
        """Load nothing."""

    @property
    def capabilities(self) -> Capabilities:
        """Return the least."""
        return Capabilities(frozenset(), 10)

    async def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
        """Yield the events, raise the exceptions."""
        key = str(request.messages[0].content)
        try:
            for item in self.answers[key]:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.closed.append(key)


def ask(key: str) -> ChatRequest:
    return ChatRequest("m", [Message("user", key)])


@pytest.fixture
async def answer(start_host: Any, sink: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``await answer([events])`` returns the sink that heard what a client hears of them."""
    running = await start_host(CustomEngine)
    assert isinstance(await running.load(), Ready)
    connection = await running.connect()

    async def run(events: list[Any]) -> Any:
        monkeypatch.setattr(CustomEngine, "answers", {"odd": events, "plain": [Text("hi"), *END]})
        odd, plain = sink(connection), sink(connection)
        odd.rid = connection.submit(ask("odd"), odd)
        plain.rid = connection.submit(ask("plain"), plain)
        async with asyncio.timeout(60):
            await odd.ended.wait()
            await plain.ended.wait()
        assert plain.text == "hi"
        assert plain.events[1:] == END
        assert not connection.closed
        assert odd.calls_after_end == 0
        return odd

    return run


async def test_an_honest_answer_arrives_as_it_is(answer: Any) -> None:
    """Event by event."""
    heard = await answer([Text("a"), Text("b"), *END])
    assert heard.events == [Text("a"), Text("b"), *END]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [Text("a")],
        [Text("a"), Finish("stop")],
        [Text("a"), Counted(Usage(1, 1))],
        [Text(5)],  # type: ignore[arg-type]
        [Text("a", "0")],  # type: ignore[arg-type]
        [Finish("eos")],  # type: ignore[arg-type]
        [Finish("stop"), Counted({"prompt_tokens": "many"})],  # type: ignore[arg-type]
        ["a"],
        [None],
        [Text("lone surrogate \ud800")],
        [Finish("stop"), Failure("RouterError", "\ud800")],
        [ZeroDivisionError("secret")],
        [KeyError("secret")],
    ],
    ids=repr,
)
async def test_a_breach_of_the_contract_is_a_failure_of_this_request_alone(
    answer: Any, events: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """No silent cut, no clean finish, no broken connection, no secret; but a loud log."""
    heard = await answer(events)
    assert type(heard.error) is errors.RouterError
    assert "secret" not in heard.error.message
    assert not any(isinstance(e, Counted) for e in heard.events)
    assert any(record.levelname == "ERROR" for record in caplog.records)


async def test_events_after_the_counts_are_dropped(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The client has its end; the engine's bug is logged."""
    heard = await answer([Text("a"), *END, Text("ghost")])
    assert heard.events == [Text("a"), *END]
    assert "events after Counted" in caplog.text


async def test_an_engine_may_yield_a_failure(answer: Any) -> None:
    """It is the end, as if it had been raised."""
    heard = await answer([Text("a"), Failure("Overloaded", "full", None, 3.0), Text("ghost")])
    assert isinstance(heard.error, errors.Overloaded)
    assert heard.error.retry_after == 3.0
    assert heard.text == "a"


KINDS = sorted(n for n, kind in errors.error_kinds().items() if kind.__module__ == errors.__name__)


@pytest.mark.parametrize("name", KINDS)
async def test_every_router_error_crosses_the_socket(answer: Any, name: str) -> None:
    """Class, message, parameter and retry time arrive."""
    raised = errors.error_kinds()[name]("told so", param="messages[0]", retry_after=2.5)
    heard = await answer([Text("a"), raised])
    assert type(heard.error) is type(raised)
    assert (heard.error.message, heard.error.param, heard.error.retry_after) == (
        "told so",
        "messages[0]",
        2.5,
    )


async def test_an_engines_own_error_class_goes_as_its_nearest_known_one(answer: Any) -> None:
    """The other side has never heard of ``Stubborn``."""
    heard = await answer([Stubborn("no")])
    assert type(heard.error) is errors.Overloaded
    assert failure_of(Stubborn("no")).kind == "Overloaded"


async def test_memory_and_cancellation_inside_the_engine(answer: Any) -> None:
    """Running out of memory has its own kind; a stray cancellation is no silent end."""
    assert type((await answer([MemoryError()])).error) is errors.OutOfMemory
    assert type((await answer([asyncio.CancelledError()])).error) is errors.EngineDead


async def test_the_iterator_is_always_closed(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an early end the engine's ``finally`` has run."""
    monkeypatch.setattr(CustomEngine, "closed", [])
    await answer([Text("a"), Failure("Overloaded", "full"), Text("never")])
    assert sorted(CustomEngine.closed) == ["odd", "plain"]
