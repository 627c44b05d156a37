"""What an engine may yield, and in which order."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    Counted,
    Embedded,
    EmbeddingRequest,
    Failure,
    Finish,
    InferenceRequest,
    Message,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)
from hoonify_router.worker.contract import ContractBreach, Truth, checked

CHAT = ChatRequest("m", [Message("user", "hi")])
TWO_ANSWERS = ChatRequest("m", [Message("user", "hi")], n=2)
TWO_PROMPTS = CompletionRequest("m", ["a", "b"])
TWO_INPUTS = EmbeddingRequest("m", ["a", "b"])
END = Counted(Usage(1, 1))
TOLD = TokenLogprob(b"\xff", -0.5, [(b"\xff", -0.5), (b"x", -math.inf)])


def vector(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


@pytest.mark.parametrize(
    "event",
    [
        Text("a"),
        Text("", 1, [TOLD]),
        Text("a", 0, []),
        Reasoning("hm", 2),
        ToolCall(0, "f", "{}"),
        Embedded(vector(1, 2), 3),
        Finish("tool_calls", 2),
        END,
        Failure("Overloaded", "full", None, 1.0),
    ],
    ids=repr,
)
def test_what_is_sound_passes(event: Any) -> None:
    """As it is."""
    assert checked(event) == event


@pytest.mark.parametrize(
    "event",
    [
        7,
        None,
        Text(b"a"),  # type: ignore[arg-type]
        Text("a", "0"),  # type: ignore[arg-type]
        Text("a", 0, "b"),  # type: ignore[arg-type]
        Text("a", 0, [("a", -1.0)]),  # type: ignore[list-item]
        Text("a", 0, [TokenLogprob("a", -1.0)]),  # type: ignore[arg-type]
        Text("a", 0, [TokenLogprob(b"a", None)]),  # type: ignore[arg-type]
        Text("a", 0, [TokenLogprob(b"a", math.nan)]),
        Text("a", 0, [TokenLogprob(b"a", -1.0, [(b"b", math.nan)])]),
        Text("a", 0, [TokenLogprob(b"a", -1.0, [(b"b",)])]),  # type: ignore[list-item]
        ToolCall("0", "f"),  # type: ignore[arg-type]
        ToolCall(0, None),  # type: ignore[arg-type]
        ToolCall(0, "f", {"a": 1}),  # type: ignore[arg-type]
        Embedded([1.0, 2.0]),  # type: ignore[arg-type]
        Embedded(b""),
        Embedded(b"12345"),
        Finish("eos"),  # type: ignore[arg-type]
        Counted({"prompt_tokens": "many"}),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_what_is_not_is_named(event: Any) -> None:
    """A wrong type would break the connection of a whole gateway, a wrong number a client."""
    with pytest.raises(ContractBreach, match="the engine yielded"):
        checked(event)


@pytest.mark.parametrize(
    ("request_", "events"),
    [
        (CHAT, [Text("a"), Finish("stop"), END]),
        (CHAT, [Reasoning("a"), ToolCall(0, "f"), ToolCall(0, "", "{}"), Finish("stop"), END]),
        (CHAT, [ToolCall(0, "f"), ToolCall(1, "g"), ToolCall(0, "", "{}"), Finish("stop"), END]),
        (
            TWO_ANSWERS,
            [ToolCall(0, "f", "", 1), ToolCall(0, "f"), Finish("stop", 1), Finish("stop"), END],
        ),
        (TWO_PROMPTS, [Finish("length", 1), Text("a"), Finish("stop"), END]),
        (TWO_INPUTS, [Embedded(vector(1), 1), Embedded(vector(2)), END]),
        (TWO_INPUTS, [Embedded(vector(1), 1), Failure("OutOfMemory", "full")]),
    ],
)
def test_a_truthful_story(request_: InferenceRequest, events: list[Any]) -> None:
    """Each kind of request ends in its own way."""
    truth = Truth(request_)
    for event in events:
        assert not truth.counted
        truth.note(event)
    assert truth.counted is (events[-1] == END)


@pytest.mark.parametrize(
    ("request_", "events", "why"),
    [
        (CHAT, [Text("a"), END], "Finish for each"),
        (TWO_ANSWERS, [Finish("stop"), END], "Finish for each"),
        (TWO_PROMPTS, [Finish("stop"), END], "Finish for each"),
        (TWO_INPUTS, [Embedded(vector(1)), END], "Embedded for each"),
        (CHAT, [Embedded(vector(1))], "another kind"),
        (TWO_PROMPTS, [Embedded(vector(1))], "another kind"),
        (TWO_INPUTS, [Text("a")], "another kind"),
        (TWO_INPUTS, [Finish("stop")], "another kind"),
        (TWO_INPUTS, [Embedded(vector(1)), Embedded(vector(1, 2), 1)], "dimensions"),
        (CHAT, [ToolCall(1, "f")], "numbered from 0"),
        (CHAT, [ToolCall(-1, "f")], "numbered from 0"),
        (CHAT, [ToolCall(0, "", "{}")], "named once"),
        (CHAT, [ToolCall(0, "f"), ToolCall(0, "f")], "named once"),
        (CHAT, [ToolCall(0, "f"), ToolCall(2, "g")], "numbered from 0"),
    ],
)
def test_a_story_that_contradicts_itself(
    request_: InferenceRequest, events: list[Any], why: str
) -> None:
    """The last event is refused, with the reason."""
    truth = Truth(request_)
    for event in events[:-1]:
        truth.note(event)
    with pytest.raises(ContractBreach, match=why):
        truth.note(events[-1])
