"""The test instrument calls tools, makes up log probabilities and vectors, and goes on with prompts."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoonify_backends.echo import EchoOptions
from hoonify_backends.echo.engine import EchoEngine
from hoonify_backends.echo.inventions import invent_logprob, invent_vector
from hoonify_backends.echo.script import pieces_of, read_script
from hoonify_router.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    InvalidValue,
    Overloaded,
    Unsupported,
)
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    Counted,
    Embedded,
    EmbeddingRequest,
    Event,
    Finish,
    Message,
    Text,
    ToolCall,
    Usage,
)

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("get_weather", "get_time")
]
PARIS = '[[tool get_weather {"city":"Paris"}]]'


async def load(**options: Any) -> EchoEngine:
    engine = EchoEngine()
    await engine.load(msgspec.convert(options, EchoOptions), lambda stage, done, total: None)
    return engine


async def answer(content: str, *more: Message, **fields: Any) -> list[Event]:
    request = ChatRequest("echo", [Message("user", content), *more], **fields)
    return [event async for event in (await load()).generate(request)]


async def complete(prompt: Any, **fields: Any) -> list[Event]:
    request = CompletionRequest("echo", prompt, **fields)
    return [event async for event in (await load()).complete(request)]


async def embed(given: Any, engine: EchoEngine | None = None, **fields: Any) -> list[Event]:
    request = EmbeddingRequest("echo", given, **fields)
    return [event async for event in (engine or await load()).embed(request)]


def calls(events: list[Event], index: int = 0) -> list[tuple[str, str]]:
    """Return the calls of an answer, put together as a client does."""
    found: dict[int, tuple[str, str]] = {}
    for event in events:
        if isinstance(event, ToolCall) and event.index == index:
            name, arguments = found.get(event.number, ("", ""))
            found[event.number] = (name + event.name, arguments + event.arguments)
    return [found[number] for number in sorted(found)]


def said(events: list[Event], index: int = 0) -> str:
    return "".join(e.text for e in events if isinstance(e, Text) and e.index == index)


def finishes(events: list[Event]) -> list[str]:
    return [event.reason for event in events if isinstance(event, Finish)]


# ---------------------------------------------------------------- tools


async def test_a_scripted_call_comes_in_pieces() -> None:
    """Text first, then the name, then the arguments bit by bit; the finish says why it ends."""
    events = await answer(f"Let me look. {PARIS}", tools=TOOLS)
    assert said(events) == "Let me look."
    pieces = [event for event in events if isinstance(event, ToolCall)]
    assert pieces[0] == ToolCall(0, "get_weather")
    assert len(pieces) > 3
    assert not any(piece.name for piece in pieces[1:])
    assert calls(events) == [("get_weather", '{"city":"Paris"}')]
    assert finishes(events) == ["tool_calls"]
    assert events[-1] == Counted(Usage(6, 3 + len(pieces)))


async def test_several_calls_are_numbered_and_can_be_forbidden() -> None:
    """``parallel_tool_calls: false`` lets the first through."""
    script = f"{PARIS}[[tool get_time]]"
    both = [("get_weather", '{"city":"Paris"}'), ("get_time", "{}")]
    assert calls(await answer(script, tools=TOOLS)) == both
    assert calls(await answer(script, tools=TOOLS, parallel_tool_calls=False)) == both[:1]


async def test_each_of_n_answers_calls() -> None:
    """The index tells them apart."""
    events = await answer(PARIS, tools=TOOLS, n=2)
    assert calls(events, 0) == calls(events, 1) == [("get_weather", '{"city":"Paris"}')]
    assert finishes(events) == ["tool_calls"] * 2


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", [("get_time", '{"zone":[1]}')]),
        ("required", [("get_time", '{"zone":[1]}')]),
        ({"type": "function", "function": {"name": "get_time"}}, [("get_time", '{"zone":[1]}')]),
        ({"type": "function", "function": {"name": "get_weather"}}, [("get_weather", "{}")]),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": TOOLS[:1]}},
            [("get_weather", "{}")],
        ),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": TOOLS[:1]}}, []),
        ("none", []),
    ],
)
async def test_the_tool_choice_is_obeyed(choice: Any, expected: Any) -> None:
    """Also where the script wants something else."""
    events = await answer('hm [[tool get_time {"zone":[1]}]]', tools=TOOLS, tool_choice=choice)
    assert calls(events) == expected
    assert finishes(events) == ["tool_calls" if expected else "stop"]
    forced = bool(expected) and choice != "auto"
    assert said(events) == ("" if forced else "hm")


async def test_required_calls_the_first_tool_without_a_script() -> None:
    """With no arguments, as there is nobody to think of any."""
    assert calls(await answer("hm", tools=TOOLS, tool_choice="required")) == [("get_weather", "{}")]


async def test_a_result_is_said_and_not_asked_for_again() -> None:
    """Otherwise a client that runs tools until there are no calls would never end."""
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": "{}"},
    }
    turns = [
        Message("assistant", None, tool_calls=[call]),
        Message("tool", "It is sunny.", tool_call_id="call_1"),
    ]
    events = await answer(PARIS, *turns, tools=TOOLS, tool_choice="required")
    assert (said(events), calls(events), finishes(events)) == ("It is sunny.", [], ["stop"])
    again = await answer(PARIS, *turns, Message("user", PARIS), tools=TOOLS)
    assert len(calls(again)) == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "messages"),
        ({"tools": TOOLS[1:]}, "messages"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice.function.name",
        ),
        (
            {
                "tools": TOOLS,
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": []},
                },
            },
            "tool_choice.allowed_tools",
        ),
    ],
)
async def test_a_call_of_an_unknown_tool_is_refused(fields: Any, param: str) -> None:
    """A script that calls what is not there would test nothing."""
    with pytest.raises(InvalidRequest) as caught:
        await answer(PARIS, **fields)
    assert caught.value.param == param


async def test_custom_tools_are_refused_by_name() -> None:
    """Only functions are called."""
    with pytest.raises(Unsupported) as caught:
        await answer("hm", tools=[{"type": "custom", "custom": {"name": "x"}}])
    assert caught.value.param == "tools[0].type"


async def test_the_limit_cuts_a_call() -> None:
    """As a model does that runs out of tokens in the middle of its arguments."""
    events = await answer(PARIS, tools=TOOLS, max_completion_tokens=3)
    assert calls(events) == [("get_weather", '{"city":"P')]
    assert finishes(events) == ["length"]


@given(st.text())
def test_arguments_joined_are_the_arguments(arguments: str) -> None:
    """Whatever they are."""
    assert "".join(pieces_of(arguments)) == arguments


def test_arguments_go_out_as_they_are() -> None:
    """JSON over several lines, and what is no JSON at all."""
    script = read_script('a [[tool f {"x":\n [1, [2] ]}]] b [[tool g {"x": ]] c [[tool h]]')
    assert script.calls == [("f", '{"x":\n [1, [2] ]}'), ("g", '{"x":'), ("h", "{}")]
    with pytest.raises(InvalidRequest):
        read_script("[[tool]]")


# ---------------------------------------------------------------- form of the answer


async def test_json_object_is_kept_or_refused() -> None:
    """Nothing here can make a text be JSON, so one that is not is refused by name."""
    form = {"type": "json_object"}
    events = await answer('{"a": [1, 2]}', response_format=form)
    assert json.loads(said(events)) == {"a": [1, 2]}
    for text in ("hello", "[1]", ""):
        with pytest.raises(InvalidRequest) as caught:
            await answer(text, response_format=form)
        assert caught.value.param == "response_format"
    assert calls(await answer(PARIS, tools=TOOLS, response_format=form))


async def test_json_schema_is_refused_by_name() -> None:
    """To answer as if it had been honoured would be a lie."""
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    with pytest.raises(Unsupported) as caught:
        await answer("{}", response_format=form)
    assert caught.value.param == "response_format"


# ---------------------------------------------------------------- log probabilities


@pytest.mark.parametrize("top", [0, 1, 5, 20])
def test_probabilities_are_consistent(top: int) -> None:
    """The said token is the likeliest, the rest follows in order, and all are less than 1 together."""
    told = invent_logprob(" hello", top)
    assert len(told.top) == top
    assert told.top[:1] == [(b" hello", told.logprob)][:top]
    values = [logprob for _, logprob in told.top]
    assert values == sorted(values, reverse=True)
    assert len({token for token, _ in told.top}) == top
    assert sum(map(math.exp, values)) < 1


async def test_each_token_has_its_logprob_only_when_asked() -> None:
    """Also those of a call, which come with an empty text."""
    events = await answer(f"a b {PARIS}", tools=TOOLS, logprobs=True, top_logprobs=2, n=2)
    for index in (0, 1):
        texts = [e for e in events if isinstance(e, Text) and e.index == index]
        tokens = b"".join(t.token for e in texts for t in e.logprobs or [])
        assert tokens == b'a bget_weather{"city":"Paris"}'
        assert all(len(t.top) == 2 for e in texts for t in e.logprobs or [])
        assert len(texts) == events[-1].usage.completion_tokens / 2  # type: ignore[union-attr]
    assert all(e.logprobs is None for e in await answer("a b") if isinstance(e, Text))


# ---------------------------------------------------------------- completions


async def test_prompts_are_said_again_under_their_indices() -> None:
    """The answers of prompt ``p`` begin at ``p * n``; all are counted together."""
    events = await complete(["a b", "c [[finish length]]"], n=2, logprobs=0)
    assert [said(events, index) for index in range(4)] == ["a b", "a b", "c", "c"]
    assert [(e.index, e.reason) for e in events if isinstance(e, Finish)] == [
        (0, "stop"),
        (1, "stop"),
        (2, "length"),
        (3, "length"),
    ]
    assert events[-1] == Counted(Usage(2 + 3, 4 + 2))
    assert all(e.logprobs and e.logprobs[0].top == [] for e in events if isinstance(e, Text))


async def test_a_completion_is_cut_and_scripted_like_a_chat() -> None:
    """Limit, stop, errors; and tokens, which it cannot read, are refused by name."""
    assert said(await complete("a b c", max_tokens=2)) == "a b"
    assert said(await complete("a b c", stop=["c", "b"])) == "a "
    with pytest.raises(Overloaded):
        await complete("[[error Overloaded]]")
    with pytest.raises(InvalidRequest) as unknown:
        await complete("[[dance]]")
    with pytest.raises(Unsupported) as tokens:
        await complete([1, 2, 3])
    assert (unknown.value.param, tokens.value.param) == ("prompt", "prompt")


# ---------------------------------------------------------------- embeddings


@given(st.text() | st.lists(st.integers()), st.integers(1, 100))
def test_vectors_are_unit_repeatable_and_nested(given: Any, dimensions: int) -> None:
    """A shorter vector points where the longer one begins to."""
    whole = struct.unpack("<100f", invent_vector(given, 100))
    assert math.hypot(*whole) == pytest.approx(1, abs=1e-6)
    vector = struct.unpack(f"<{dimensions}f", invent_vector(given, dimensions))
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-6)
    begin = whole[:dimensions]
    assert vector == pytest.approx([x / math.hypot(*begin) for x in begin], abs=1e-6)


async def test_inputs_become_vectors() -> None:
    """Texts and tokens; equal inputs have equal vectors, others do not."""
    events = await embed(["one two", "three", "one two"])
    vectors = [event.vector for event in events if isinstance(event, Embedded)]
    assert [event.index for event in events if isinstance(event, Embedded)] == [0, 1, 2]
    assert vectors[0] == vectors[2] != vectors[1]
    assert len(vectors[0]) == 64 * 4
    assert events[-1] == Counted(Usage(5))
    assert (await embed([[1, 2], [3]]))[-1] == Counted(Usage(3))
    assert (await embed([1, 2]))[-1] == Counted(Usage(2))


async def test_dimensions_are_honoured_or_refused() -> None:
    """Fewer than the home has, not more."""
    engine = await load(dimensions=8)
    (vector, _) = await embed("x", engine, dimensions=3)
    assert isinstance(vector, Embedded)
    assert len(vector.vector) == 12
    with pytest.raises(InvalidValue) as caught:
        await embed("x", engine, dimensions=9)
    assert caught.value.param == "dimensions"


async def test_an_embedding_can_fail_as_scripted() -> None:
    """By magic, by the context; and the slot comes back."""
    engine = await load(context_length=3)
    with pytest.raises(Overloaded):
        await embed(["[[error Overloaded]]"], engine)
    with pytest.raises(ContextLengthExceeded) as caught:
        await embed(["x", "a b c d"], engine)
    assert caught.value.param == "input"
    assert len(await embed("a b c", engine)) == 2
    assert engine.health().running == 0
