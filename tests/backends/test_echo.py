"""The test instrument does what its options and its scripts say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoonify_backends.echo import EchoOptions, hoonify_register_backends
from hoonify_backends.echo.engine import EchoEngine
from hoonify_backends.echo.script import read_script, tokens_of
from hoonify_router.api import WorkerBackend
from hoonify_router.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    OutOfMemory,
    Overloaded,
    RouterError,
    error_kinds,
)
from hoonify_router.types import (
    ChatRequest,
    Counted,
    Event,
    Finish,
    Message,
    Reasoning,
    Text,
    TextPart,
    Usage,
)


async def load(**options: Any) -> EchoEngine:
    engine = EchoEngine()
    await engine.load(msgspec.convert(options, EchoOptions), lambda stage, done, total: None)
    return engine


def asking(content: Any, **fields: Any) -> ChatRequest:
    return ChatRequest("echo", [Message("user", content)], **fields)


async def answer(engine: EchoEngine, content: Any, **fields: Any) -> list[Event]:
    return [event async for event in engine.generate(asking(content, **fields))]


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - the engine has no event for a test to wait on
        await asyncio.sleep(0)


def said(events: list[Event], index: int = 0) -> str:
    return "".join(e.text for e in events if isinstance(e, Text) and e.index == index)


async def test_echo_says_the_last_message_again() -> None:
    """Word by word, with a finish and honest counts."""
    events = await answer(await load(), "one two\nthree ")
    assert events == [
        Text("one"),
        Text(" two"),
        Text("\nthree"),
        Finish("stop"),
        Counted(Usage(prompt_tokens=4, completion_tokens=3)),
    ]


async def test_echo_reads_parts_and_unicode() -> None:
    """Content parts are joined; no character is ever cut."""
    events = await answer(await load(), [TextPart("déjà 👩‍👩‍👧 "), TextPart("漢字")])
    assert said(events) == "déjà 👩‍👩‍👧 漢字"


async def test_echo_can_say_a_fixed_text() -> None:
    """``reply: text`` ignores what was asked."""
    assert said(await answer(await load(reply="text", text="always this"), "hm?")) == "always this"


async def test_an_empty_answer_is_possible() -> None:
    """No text, but a finish and counts."""
    events = await answer(await load(), "[[usage 7 0]]")
    assert events == [Finish("stop"), Counted(Usage(7, 0))]


async def test_max_tokens_cuts() -> None:
    """Both names of the limit work and the reason says so."""
    engine = await load()
    for name in ("max_tokens", "max_completion_tokens"):
        events = await answer(engine, "a b c", **{name: 2})
        assert said(events) == "a b"
        assert Finish("length") in events


async def test_stop_cuts_before_the_earliest_stop_string() -> None:
    """The stop string itself is never said."""
    engine = await load()
    assert said(await answer(engine, "a b STOP c", stop="STOP")) == "a b "
    assert said(await answer(engine, "a b c d", stop=["d", "b"])) == "a "


async def test_several_answers_are_told_apart_by_index() -> None:
    """``n`` answers interleave, each with its finish, under one count."""
    events = await answer(await load(), "a b", n=2)
    assert said(events, 0) == said(events, 1) == "a b"
    assert [e.index for e in events if isinstance(e, Finish)] == [0, 1]
    assert events[-1] == Counted(Usage(2, 4))


async def test_reasoning_comes_before_the_text() -> None:
    """``[[think ...]]`` is counted as reasoning too."""
    events = await answer(await load(), "[[think hm well]]yes")
    assert events[:3] == [Reasoning("hm"), Reasoning(" well"), Text("yes")]
    assert events[-1] == Counted(Usage(3, 3, reasoning_tokens=2))


async def test_scripted_finish_and_missing_counts() -> None:
    """Any finish reason, and the breach of leaving the counts out."""
    events = await answer(await load(), "x[[finish content_filter]][[uncounted]]")
    assert events == [Text("x"), Finish("content_filter")]


@pytest.mark.parametrize("kind", sorted(error_kinds()))
async def test_every_kind_of_error_can_be_scripted(kind: str) -> None:
    """Before the first token and after some."""
    engine = await load()
    with pytest.raises(error_kinds()[kind]):
        await answer(engine, f"a b c [[error {kind}]]")
    events = engine.generate(asking(f"a b c [[error {kind} after 2]]"))
    assert [await anext(events), await anext(events)] == [Text("a"), Text(" b")]
    with pytest.raises(error_kinds()[kind]):
        await anext(events)
    assert engine.health().running == 0


async def test_a_bug_is_no_router_error() -> None:
    """``[[bug after N]]`` happens even when the answer has just N tokens."""
    with pytest.raises(ZeroDivisionError):
        await answer(await load(), "a b[[bug after 2]]")


@pytest.mark.parametrize(
    "words",
    [
        "[[dance]]",
        "[[error Nonsense]]",
        "[[crash now]]",
        "[[delay x]]",
        "[[usage 1]]",
        "[[finish so]]",
    ],
)
async def test_unknown_magic_is_refused(words: str) -> None:
    """A misspelt script fails by name instead of testing nothing."""
    with pytest.raises(InvalidRequest, match="does not know"):
        await answer(await load(), words)


async def test_magic_can_be_off() -> None:
    """Then the words are text."""
    assert said(await answer(await load(magic=False), "[[crash]]")) == "[[crash]]"


async def test_the_context_is_a_limit() -> None:
    """A long prompt is refused, a long answer ends with it."""
    engine = await load(context_length=4)
    with pytest.raises(ContextLengthExceeded) as caught:
        await answer(engine, "a b c d")
    assert caught.value.param == "messages"
    events = await answer(await load(context_length=4, reply="text", text="1 2 3 4"), "a b")
    assert said(events) == "1 2"
    assert Finish("length") in events


async def test_slots_and_queue() -> None:
    """One runs, one waits, the third is refused; a cancelled one gives its slot back."""
    engine = await load(slots=1, queue=1)
    hanging = asyncio.create_task(answer(engine, "[[hang]]"))
    waiting = asyncio.create_task(answer(engine, "hello"))
    await until(lambda: engine.health().queued)
    assert (engine.health().running, engine.health().queued) == (1, 1)
    with pytest.raises(Overloaded) as caught:
        await answer(engine, "me too")
    assert caught.value.retry_after == 1
    hanging.cancel()
    assert said(await waiting) == "hello"
    assert (engine.health().running, engine.health().queued) == (0, 0)


async def test_health_tells_the_age_of_the_last_step() -> None:
    """It grows while an answer hangs and is nothing while idle."""
    engine = await load()
    hanging = asyncio.create_task(answer(engine, "[[hang]]"))
    await until(lambda: engine.health().step_age)
    hanging.cancel()
    await asyncio.wait([hanging])
    assert engine.health().step_age == 0


async def test_loading_shows_progress_and_fails_as_told(tmp_path: Any) -> None:
    """Progress, an error of any kind, and a file in the way."""
    steps: list[tuple[str, int, int]] = []
    engine = EchoEngine()
    await engine.load(EchoOptions(), lambda *step: steps.append(step))
    assert steps[0] == ("pretending to load", 0, 20)
    with pytest.raises(OutOfMemory):
        await load(load_error="OutOfMemory")
    blocker = tmp_path / "blocker"
    blocker.touch()
    with pytest.raises(RouterError, match="in the way"):
        await load(load_blocker=str(blocker))
    blocker.unlink()
    await load(load_blocker=str(blocker))


async def test_it_says_honestly_what_it_honours() -> None:
    """No sampling parameter is claimed, and the record for the docs says the same."""
    capabilities = (await load(slots=3, context_length=99)).capabilities
    (backend,) = hoonify_register_backends()
    assert isinstance(backend, WorkerBackend)
    assert capabilities.parameters == backend.parameters
    assert capabilities.tasks == backend.tasks == {"chat", "completion", "embedding"}
    assert not capabilities.parameters & {"temperature", "top_p", "seed", "logit_bias"}
    assert (capabilities.slots, capabilities.context_length) == (3, 99)


def test_it_is_registered_as_a_test_instrument() -> None:
    """The one-line summary warns whoever reads the list of backends."""
    (backend,) = hoonify_register_backends()
    assert backend.name == "echo"
    assert "Test instrument" in backend.summary


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    """Whatever the text is."""
    assert "".join(tokens_of(text)) == text


def test_script_repeats_and_strips() -> None:
    """Magic words leave no trace in the text."""
    script = read_script("ab [[repeat 2]][[delay 0.5]] [[first 1]]")
    assert (script.text, script.delay, script.first) == ("ab ab", 0.5, 1.0)
