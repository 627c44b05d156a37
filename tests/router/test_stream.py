"""A stream's truth: whatever an engine does, the client reads a legal OpenAI stream to its end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.router.reading import Sheet, published, read_stream

from hoonify_router.chat_chunks import ChatChunks
from hoonify_router.chunks import Chunks
from hoonify_router.errors import Cancelled, EngineDead, RouterError, envelope
from hoonify_router.stream import EventStream, end_with_error
from hoonify_router.text_chunks import TextChunks
from hoonify_router.types import TokenLogprob, ToolCall, Usage


def make(
    choices: int = 1, with_usage: bool = False, kind: type[Chunks] = ChatChunks
) -> tuple[EventStream, Sheet, list[RouterError | None]]:
    """Return a stream, what it writes on, and how it ended."""
    sheet, ends = Sheet(), []
    chunks = kind("chatcmpl-1", 1_760_000_000, "tiny-chät", with_usage)
    stream = EventStream(sheet, chunks, choices, lambda: ends.append(stream.error))
    return stream, sheet, ends


def settle(stream: EventStream, sheet: Sheet) -> None:
    """Write the end as the pipeline does."""
    if stream.error is None:
        stream.close()
    elif stream.begun:
        end_with_error(sheet, envelope(stream.error))


def test_a_whole_stream_reads_as_openai_s() -> None:
    """Role first, then texts, one finish, [DONE]; nothing is written before the first text."""
    stream, sheet, ends = make()
    stream.text("")
    assert sheet.writes == []
    stream.text("Hel")
    assert len(sheet.writes) == 1, "role and first text go out in one write"
    stream.text('lo "\n\\ 😀')
    stream.finish("stop")
    stream.count(Usage(3, 2))
    stream.complete()
    assert ends == [None]
    assert b"finish_reason" not in sheet.data.replace(b'"finish_reason":null', b"")
    settle(stream, sheet)
    read = read_stream(sheet.data, with_usage=False)
    assert read.texts == {0: 'Hello "\n\\ 😀'}
    assert read.finishes == {0: "stop"}
    assert read.usage is None
    assert read.chunks[0].model == "tiny-chät"
    assert read.chunks[0].id == "chatcmpl-1"


def test_usage_comes_only_when_it_was_asked_for() -> None:
    """With details only where there is something to tell."""
    stream, sheet, _ = make(with_usage=True)
    stream.text("a")
    stream.finish("length")
    stream.count(Usage(5, 7, cached_tokens=4, reasoning_tokens=2))
    stream.complete()
    settle(stream, sheet)
    read = read_stream(sheet.data, with_usage=True)
    assert read.usage == {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


def test_an_answer_without_a_word_still_has_a_role_and_a_finish() -> None:
    """An engine may have nothing to say."""
    stream, sheet, _ = make()
    stream.finish("stop")
    assert sheet.writes == []
    stream.complete()
    settle(stream, sheet)
    assert read_stream(sheet.data, with_usage=False).finishes == {0: "stop"}


def test_a_break_after_the_finish_is_no_clean_end() -> None:
    """The last finish is held back until the engine has said that it is done."""
    stream, sheet, ends = make()
    stream.text("a")
    stream.finish("stop")
    stream.fail(EngineDead("gone"))
    assert isinstance(ends[0], EngineDead)
    settle(stream, sheet)
    read = read_stream(sheet.data, with_usage=False)
    assert read.finishes == {}
    assert read.error is not None
    assert read.error["code"] == "model_unavailable"


def test_an_engine_that_stops_speaking_has_not_finished() -> None:
    """``complete`` without a finish is an error, before the first text a silent one."""
    stream, sheet, ends = make()
    stream.complete()
    assert isinstance(ends[0], EngineDead)
    assert sheet.writes == []
    assert not stream.begun


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("finish", "text"),
        ("finish", "reasoning"),
        ("finish", "parts"),
        ("finish", "tool_call"),
        ("finish", "logprobs"),
        ("finish", "finish"),
        ("finish", "escaped"),
    ],
)
def test_nobody_speaks_after_the_finish(first: str, second: str) -> None:
    """An engine that does is broken, and its stream ends with an error."""
    calls: dict[str, Any] = {
        "text": lambda s: s.text("x"),
        "reasoning": lambda s: s.reasoning("x"),
        "parts": lambda s: s.parts({"content": "x"}),
        "tool_call": lambda s: s.tool_call(ToolCall(0, "f")),
        "logprobs": lambda s: s.text("", 0, [TokenLogprob(b"x", -1.0)]),
        "finish": lambda s: s.finish("stop"),
        "escaped": lambda s: s.escaped([b"x"]),
    }
    stream, sheet, ends = make()
    stream.text("a")
    calls[first](stream)
    calls[second](stream)
    assert isinstance(ends[0], EngineDead)
    settle(stream, sheet)
    assert read_stream(sheet.data, with_usage=False).error is not None


@pytest.mark.parametrize("index", [-1, 1, 7])
def test_an_unknown_index_breaks_the_answer(index: int) -> None:
    """Nobody asked for that choice."""
    stream, _, ends = make()
    stream.text("x", index)
    assert isinstance(ends[0], EngineDead)


def test_an_unknown_finish_reason_breaks_the_answer() -> None:
    """SDKs know five of them."""
    stream, _, ends = make()
    stream.finish("error")
    assert isinstance(ends[0], EngineDead)


def test_each_of_several_choices_has_its_own_role_and_finish() -> None:
    """Choices that end early are told at once, only the last finish waits."""
    stream, sheet, _ = make(choices=2)
    stream.text("a", 1)
    stream.finish("stop", 1)
    assert b'"finish_reason":"stop"' in sheet.data
    stream.text("b", 0)
    stream.finish("length", 0)
    stream.complete()
    settle(stream, sheet)
    read = read_stream(sheet.data, with_usage=False)
    assert read.texts == {0: "b", 1: "a"}
    assert read.finishes == {0: "length", 1: "stop"}


def test_a_client_that_leaves_ends_the_answer() -> None:
    """Whatever the engine says afterwards goes nowhere."""
    stream, sheet, ends = make()
    stream.text("a")
    written = sheet.data
    stream.abandon()
    stream.text("b")
    stream.finish("stop")
    stream.complete()
    stream.fail(EngineDead("late"))
    assert [type(error) for error in ends] == [Cancelled]
    assert sheet.data == written


def test_tool_calls_become_openai_s_deltas() -> None:
    """Id, type and name with the first piece only; the role is told first, without a text."""
    stream, sheet, _ = make()
    stream.tool_call(ToolCall(0, "weather", '{"ci'))
    stream.tool_call(ToolCall(0, "", 'ty":"Rome"}'))
    stream.tool_call(ToolCall(0))
    stream.tool_call(ToolCall(1, "time"))
    stream.tool_call(ToolCall(0, "", " "))
    stream.finish("tool_calls")
    stream.complete()
    settle(stream, sheet)
    read = read_stream(sheet.data, with_usage=False)
    (first, second) = read.calls[0]
    assert first[1:] == ["weather", '{"city":"Rome"} ']
    assert second[1:] == ["time", ""]
    assert first[0] != second[0]
    assert first[0].startswith("call_")
    assert read.finishes == {0: "tool_calls"}
    assert len(read.chunks) == 6, "an empty piece says nothing"
    assert read.chunks[0].choices[0].delta.content is None
    for chunk in read.chunks:
        published("CreateChatCompletionStreamResponse", chunk.model_dump(exclude_unset=True))


def test_an_engine_s_own_id_of_a_call_stays() -> None:
    """It may know it again."""
    stream, sheet, _ = make()
    stream.tool_call(ToolCall(0, "f"), "call_theirs")
    stream.finish("tool_calls")
    stream.complete()
    settle(stream, sheet)
    assert read_stream(sheet.data, with_usage=False).calls[0][0][0] == "call_theirs"


def test_ids_of_calls_differ_between_choices() -> None:
    """Each answer has its own calls."""
    stream, sheet, _ = make(choices=2)
    for index in (0, 1):
        stream.tool_call(ToolCall(0, "f", "{}", index))
        stream.finish("tool_calls", index)
    stream.complete()
    settle(stream, sheet)
    read = read_stream(sheet.data, with_usage=False)
    assert read.calls[0][0][0] != read.calls[1][0][0]


@pytest.mark.parametrize(
    "calls",
    [
        [ToolCall(0, "", "{}")],
        [ToolCall(1, "f")],
        [ToolCall(-1, "f")],
        [ToolCall(-1, "", "x")],
        [ToolCall(0, "f"), ToolCall(0, "f")],
        [ToolCall(0, "f"), ToolCall(2, "g")],
        [ToolCall(0, "f"), ToolCall(1, "", "{}")],
        [ToolCall(0, "f", "", 1)],
    ],
)
def test_calls_with_gaps_break_the_answer(calls: list[ToolCall]) -> None:
    """A number without a name first, or a name twice."""
    stream, sheet, ends = make()
    stream.text("a")
    for call in calls:
        stream.tool_call(call)
    assert isinstance(ends[0], EngineDead)
    settle(stream, sheet)
    assert read_stream(sheet.data, with_usage=False).error is not None


def test_log_probabilities_go_with_their_text() -> None:
    """Also those of tokens whose text became something else."""
    stream, sheet, _ = make()
    stream.text("é", 0, [TokenLogprob(b"\xc3", -0.5), TokenLogprob(b"\xa9", -1.0, [(b"x", -0.1)])])
    stream.text("", 0, [TokenLogprob(b"<tool>", -2.0)])
    stream.text("b")
    stream.finish("stop")
    stream.complete()
    settle(stream, sheet)
    read = read_stream(sheet.data, with_usage=False)
    assert read.texts == {0: "éb"}
    assert [bytes(one["bytes"]) for one in read.logprobs[0]] == [b"\xc3", b"\xa9", b"<tool>"]
    assert read.logprobs[0][1]["top_logprobs"] == [{"token": "x", "logprob": -0.1, "bytes": [120]}]
    for chunk in read.chunks:
        published("CreateChatCompletionStreamResponse", chunk.model_dump(exclude_unset=True))


def test_a_completion_s_stream_has_no_roles() -> None:
    """Only texts, in the shape of a whole completion."""
    sheet = Sheet()
    chunks = TextChunks("cmpl-1", 1, "m", with_usage=True)
    stream = EventStream(sheet, chunks, 2, lambda: None)
    stream.text("a", 1, [TokenLogprob(b"a", -1.0)])
    stream.escaped([b"x", b"y"])
    stream.finish("length", 0)
    stream.parts({"content": "z"}, 1)
    stream.finish("stop", 1)
    stream.count(Usage(1, 2))
    stream.complete()
    settle(stream, sheet)
    read = read_stream(sheet.data, with_usage=True, kind="completion")
    assert read.texts == {0: "xy", 1: "az"}
    assert read.finishes == {0: "length", 1: "stop"}
    assert read.logprobs == {1: [("a", 0)]}
    assert read.usage is not None


@pytest.mark.parametrize("together", [True, False])
def test_last_words_go_with_the_end_where_they_may(together: bool) -> None:
    """What came in one read with a clean end is one write with it; a paper that is read before gets it at once."""
    stream, sheet, _ = make()
    sheet.takes_all_at_end = together
    stream.text("a")
    stream.cork()
    stream.text("b")
    stream.finish("stop")
    stream.complete()
    stream.uncork()
    assert len(sheet.writes) == (1 if together else 2)
    settle(stream, sheet)
    assert len(sheet.writes) == (2 if together else 3)
    assert read_stream(sheet.data, with_usage=False).texts == {0: "ab"}


def test_last_words_before_an_error_are_written_at_once() -> None:
    """The error is written by others, after them."""
    stream, sheet, _ = make()
    stream.cork()
    stream.text("a")
    stream.fail(EngineDead("gone"))
    stream.uncork()
    assert len(sheet.writes) == 1
    settle(stream, sheet)
    assert read_stream(sheet.data, with_usage=False).texts == {0: "a"}


CALLS = st.one_of(
    st.tuples(st.just("text"), st.text(max_size=5), st.integers(-1, 3)),
    st.tuples(st.just("reasoning"), st.text(max_size=5), st.integers(-1, 3)),
    st.tuples(st.just("parts"), st.text(max_size=5), st.integers(-1, 3)),
    st.tuples(st.just("finish"), st.sampled_from(["stop", "length", "bad"]), st.integers(-1, 3)),
    st.tuples(st.just("escaped"), st.text(max_size=5), st.just(0)),
    st.tuples(st.just("weighed"), st.text(max_size=5), st.integers(-1, 3)),
    st.tuples(st.just("call"), st.tuples(st.integers(-1, 2), st.booleans()), st.integers(-1, 3)),
    st.tuples(st.just("count"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.sampled_from(["cork", "uncork"]), st.none(), st.none()),
    st.tuples(st.just("complete"), st.none(), st.none()),
    st.tuples(st.just("fail"), st.none(), st.none()),
)


def play(stream: EventStream, call: tuple[str, Any, Any]) -> None:
    """Do one of the things that an engine may do."""
    what, first, second = call
    if what == "parts":
        stream.parts({"content": first}, second)
    elif what == "escaped":
        stream.escaped([json.dumps(first)[1:-1].encode()])
    elif what == "weighed":
        stream.text(first, second, [TokenLogprob(first.encode(), -1.0)])
    elif what == "call":
        number, named = first
        stream.tool_call(ToolCall(number, "f" if named else "", "{}", second))
    elif what == "count":
        stream.count(Usage(first, second))
    elif what in ("complete", "cork", "uncork"):
        getattr(stream, what)()
    elif what == "fail":
        stream.fail(EngineDead("gone"))
    else:
        getattr(stream, what)(first, second)


@given(
    st.lists(CALLS, max_size=12),
    st.integers(1, 3),
    st.sampled_from([ChatChunks, TextChunks]),
    st.booleans(),
)
def test_whatever_an_engine_does_the_stream_is_true(
    calls: list[tuple[str, Any, Any]], choices: int, kind: type[Chunks], with_usage: bool
) -> None:
    """Exactly one end is told; a clean one only if every choice finished and nothing contradicted it."""
    stream, sheet, ends = make(choices, with_usage, kind)
    for call in calls:
        play(stream, call)
    if not stream.ended:
        stream.complete()
    assert len(ends) == 1
    settle(stream, sheet)
    if not sheet.writes:
        assert stream.error is not None, "an empty answer needs a status that says why"
        return
    read = read_stream(sheet.data, with_usage, "chat" if kind is ChatChunks else "completion")
    if stream.error is None:
        assert read.error is None
        assert set(read.finishes) == set(range(choices))
    else:
        assert read.error is not None
        assert len(read.finishes) < choices
        assert read.usage is None
    said: dict[int, str] = {}
    for what, first, second in calls:
        if what in ("text", "parts", "escaped", "weighed"):
            said[second] = said.get(second, "") + first
    for index, text in read.texts.items():
        assert said.get(index, "").startswith(text)
