"""A server's plain completions, in one piece and as streams of the same shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.router.reading import Mail, Read, Sheet, published, read_stream, read_text

from hoonify_router.adapters import text_dialect
from hoonify_router.adapters.sse import EventReader
from hoonify_router.adapters.text_dialect import TextDialect
from hoonify_router.errors import EngineDead, InvalidRequest, Overloaded, RouterError, envelope
from hoonify_router.stream import EventStream, end_with_error
from hoonify_router.text_chunks import TextChunks
from hoonify_router.text_completion import TextCompletion

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
LOGPROBS = {
    "text_offset": [0, 1],
    "token_logprobs": [None, -0.5],
    "tokens": ["a", "b"],
    "top_logprobs": [None, {"b": -0.5, "c": None}],
}
TOLD_LOGPROBS = {
    "tokens": ["a", "b"],
    "token_logprobs": [-9999.0, -0.5],
    "top_logprobs": [{}, {"b": -0.5, "c": -9999.0}],
    "text_offset": [0, 1],
}


def body(text: str = "", finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    """Return a completion, or a chunk of one, as SGLang writes it."""
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
    choice |= {"matched_stop": None, "hidden_states": None, **more}
    return {
        "id": "theirs",
        "object": "text_completion",
        "created": 9,
        "model": "theirs/Model",
        "choices": [choice],
        "usage": None,
    }


def pour(told: Any, choices: int = 1) -> tuple[dict[str, Any], RouterError | None]:
    """Return what the client reads and how the answer ended."""
    mail = Mail()
    answer = TextCompletion(mail, ("cmpl-ours", 1, "catalog-id"), choices, lambda: None)
    TextDialect().pour(told if isinstance(told, bytes) else json.dumps(told).encode(), answer)
    assert answer.ended
    if answer.error is not None:
        return {}, answer.error
    answer.close()
    read_text(mail.body)
    read: dict[str, Any] = json.loads(mail.body)
    published("CreateCompletionResponse", read)
    return read, None


def event(told: Any, spaced: bool = False) -> bytes:
    separators = (", ", ": ") if spaced else (",", ":")
    return b"data: " + json.dumps(told, separators=separators).encode() + b"\n\n"


def stream(*pieces: bytes, choices: int = 1, with_usage: bool = False) -> tuple[Read, EventStream]:
    """Return what the client reads of a server's stream."""
    sheet = Sheet()
    chunks = TextChunks("cmpl-ours", 1, "catalog-id", with_usage)
    answer = EventStream(sheet, chunks, choices, lambda: None)
    reader = EventReader(answer, TextDialect())
    for piece in pieces:
        reader.feed(piece)
    reader.close()
    answer.complete()
    if answer.error is None:
        answer.close()
    else:
        end_with_error(sheet, envelope(answer.error))
    assert b"theirs" not in sheet.data
    return read_stream(sheet.data, with_usage, "completion"), answer


def test_a_whole_completion_is_openai_s() -> None:
    """Under our names, without what the server adds."""
    read, _ = pour({**body("hi", "stop"), "usage": {**USAGE, "x": 1}, "metadata": {}})
    assert read == {
        "id": "cmpl-ours",
        "object": "text_completion",
        "created": 1,
        "model": "catalog-id",
        "choices": [{"index": 0, "text": "hi", "logprobs": None, "finish_reason": "stop"}],
        "usage": USAGE,
    }


@pytest.mark.parametrize(
    ("told", "ours"), [("eos", "stop"), ("max_tokens", "length"), ("tool_calls", "stop")]
)
def test_only_three_reasons_are_told(told: str, ours: str) -> None:
    """Nothing can be called here."""
    assert pour(body("a", told))[0]["choices"][0]["finish_reason"] == ours
    assert stream(event(body("a", told)), DONE)[0].finishes == {0: ours}


def test_log_probabilities_have_numbers_where_servers_have_null() -> None:
    """As for the first token of an echo."""
    read, _ = pour(body("ab", "stop", logprobs=LOGPROBS))
    assert read["choices"][0]["logprobs"] == TOLD_LOGPROBS
    told, _ = stream(event(body("ab", logprobs=LOGPROBS)), event(body("", "stop")), DONE)
    assert told.logprobs == {0: [("a", 0), ("b", 1)]}
    assert told.texts == {0: "ab"}


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (b"", EngineDead),
        ({"choices": [{"text": 5}]}, EngineDead),
        ({"choices": []}, EngineDead),
        ({"choices": [{"index": 0, "message": {"content": "x"}}]}, EngineDead),
        (body("x", "abort"), EngineDead),
        (body("x"), EngineDead),
        (body("x", "stop", index=3), EngineDead),
        ({"error": {"message": "queue is full", "code": 503}}, Overloaded),
        ({"object": "error", "message": "bad regex", "code": 400}, InvalidRequest),
    ],
)
def test_what_is_no_answer_is_an_error(told: Any, kind: type[RouterError]) -> None:
    """In one piece, and as a stream that has not begun."""
    assert isinstance(pour(told)[1], kind)
    if isinstance(told, dict):
        _, answer = stream(event(told), DONE)
        assert isinstance(answer.error, kind)


FORMS: dict[str, Any] = {
    "sglang": body,
    "vllm": lambda text: {k: v for k, v in body(text).items() if k != "usage"},
    "openai": lambda text: {
        **body(text),
        "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": None}],
    },
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("spaced", [False, True])
def test_most_chunks_are_passed_on_without_being_decoded(
    spaced: bool, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first two with a text are, and the finish."""
    decoded = []
    real = text_dialect._decode

    def decode(data: bytes) -> Any:
        decoded.append(data)
        return real(data)

    monkeypatch.setattr(text_dialect, "_decode", decode)
    texts = ["a", " plain", "b c", "{}[],:"]
    events = [event(FORMS[form](text), spaced) for text in texts]
    told, _ = stream(*events, event(body("", "stop")), DONE)
    assert told.texts == {0: "".join(texts)}
    assert len(decoded) == 3


@given(
    st.lists(st.text(min_size=1, max_size=6) | st.just('","index":1,"x":"'), max_size=6),
    st.tuples(st.booleans(), st.booleans(), st.sampled_from([b"\n", b"\r\n", b"\r"])),
    st.data(),
)
def test_any_stream_is_told_truthfully_wherever_it_is_cut_or_breaks(
    texts: list[str], form: tuple[bool, bool, bytes], data: st.DataObject
) -> None:
    """What the client has read is a beginning of what the server said."""
    spaced, with_usage, newline = form
    bodies = [*(body(text) for text in texts), body("", "stop")]
    bodies += [{**body(), "choices": [], "usage": USAGE}]
    wire = b"".join(event(one, spaced) for one in bodies) + DONE
    wire = wire.replace(b"\n", newline)
    stop = data.draw(st.integers(0, len(wire)) | st.just(len(wire)))
    cuts = sorted(data.draw(st.lists(st.integers(0, stop), max_size=6)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, stop], strict=True)]
    read, answer = stream(*pieces, with_usage=with_usage)
    said = read.texts.get(0, "")
    if answer.error is None:
        assert said == "".join(texts)
        assert read.finishes == {0: "stop"}
    else:
        assert "".join(texts).startswith(said)
        assert read.finishes == {}


def test_several_prompts_are_told_apart() -> None:
    """Each chunk says whose it is."""
    told, _ = stream(
        event(body("a", index=1)),
        event(body("b", "length", index=0)),
        event(body("c", "stop", index=1)),
        DONE,
        choices=2,
    )
    assert told.texts == {0: "b", 1: "ac"}
    assert told.finishes == {0: "length", 1: "stop"}
