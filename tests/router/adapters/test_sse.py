"""A server's stream in all its dialects: passed on truthfully, however it is cut and wherever it breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.router.reading import Read, Sheet, read_stream

from hoonify_router.adapters import chat_dialect
from hoonify_router.adapters.chat_dialect import ChatDialect
from hoonify_router.adapters.sse import EventReader
from hoonify_router.chat_chunks import ChatChunks
from hoonify_router.errors import EngineDead, Overloaded, RouterError, envelope
from hoonify_router.stream import EventStream, end_with_error

DONE = b"data: [DONE]\n\n"


class Line:
    """A stream through a reader, from the server's bytes to the client's."""

    def __init__(self, choices: int = 1, with_usage: bool = False) -> None:
        self.sheet = Sheet()
        self.ends: list[RouterError | None] = []
        chunks = ChatChunks("chatcmpl-ours", 1, "catalog-id", with_usage)
        self.stream = EventStream(
            self.sheet, chunks, choices, lambda: self.ends.append(self.stream.error)
        )
        self.reader = EventReader(self.stream, ChatDialect())
        self.with_usage = with_usage

    def feed(self, *pieces: bytes) -> Line:
        for piece in pieces:
            self.reader.feed(piece)
        return self

    def finish(self) -> Line:
        """The body is complete."""
        self.reader.close()
        self.stream.complete()
        return self

    def read(self) -> Read:
        """Return what the client reads; the stream must have ended."""
        assert len(self.ends) == 1
        if self.stream.error is None:
            self.stream.close()
        else:
            end_with_error(self.sheet, envelope(self.stream.error))
        return read_stream(self.sheet.data, self.with_usage)


def chunk(
    delta: Any = None, finish: str | None = None, index: int = 0, **extra: Any
) -> dict[str, Any]:
    """Return a chunk as SGLang and vLLM write it."""
    choice = {
        "index": index,
        "delta": {} if delta is None else delta,
        "logprobs": None,
        "finish_reason": finish,
        "matched_stop": None,
    }
    return {
        "id": "cmpl-theirs",
        "object": "chat.completion.chunk",
        "created": 99,
        "model": "theirs/Model",
        "choices": [choice],
        **extra,
    }


def event(body: Any, spaced: bool = False) -> bytes:
    separators = (", ", ": ") if spaced else (",", ":")
    return b"data: " + json.dumps(body, separators=separators).encode() + b"\n\n"


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
USAGE_CHUNK = {**chunk(), "choices": [], "usage": USAGE}


def plain(*texts: str) -> bytes:
    """Return a whole ordinary stream."""
    events = [event(chunk({"role": "assistant", "content": ""}))]
    events += [event(chunk({"content": text})) for text in texts]
    events += [event(chunk(finish="stop")), event(USAGE_CHUNK), DONE]
    return b"".join(events)


def test_an_ordinary_stream_comes_through_under_our_names() -> None:
    """The router's id and time, the catalog's model, the server's texts."""
    line = Line().feed(plain("Hel", "lo", " world"))
    read = line.read()
    assert read.texts == {0: "Hello world"}
    assert read.finishes == {0: "stop"}
    assert {(c.id, c.created, c.model) for c in read.chunks} == {("chatcmpl-ours", 1, "catalog-id")}
    assert b"theirs" not in line.sheet.data
    assert line.stream.usage is not None
    assert line.stream.usage.completion_tokens == 2


FORMS: dict[str, Any] = {
    "vllm": {"logprobs": None, "finish_reason": None},
    "sglang": {"logprobs": None, "finish_reason": None, "matched_stop": None},
    "bare": {"finish_reason": None},
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("key", ["content", "reasoning_content", "reasoning"])
@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("usage", [{}, {"usage": None}])
def test_most_chunks_are_passed_on_without_being_decoded(
    form: str, key: str, spaced: bool, usage: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the forms that servers write: only the first two with a text are."""
    decoded = []

    def decode(data: bytes) -> Any:
        decoded.append(data)
        return real(data)

    real = chat_dialect._decode
    monkeypatch.setattr(chat_dialect, "_decode", decode)
    empty = {"role": None, "content": None, "reasoning_content": None, "tool_calls": None}
    events = []
    for text in ("a", " plain", " ä€😀", "{}[],:"):
        delta = {**(empty if form == "sglang" else {}), key: text}
        body = {**chunk(), "choices": [{"index": 0, "delta": delta, **FORMS[form]}], **usage}
        separators = (", ", ": ") if spaced else (",", ":")
        told = json.dumps(body, separators=separators, ensure_ascii=False)
        events.append(b"data: " + told.encode() + b"\n\n")
    line = Line().feed(*events)
    assert len(decoded) == 2
    line.feed(event(chunk(finish="stop")), DONE)
    read = line.read()
    said = "a plain ä€😀{}[],:"
    assert read.texts == {0: said if key == "content" else ""}
    thoughts = [c.choices[0].delta.model_extra or {} for c in read.chunks]
    thought = "".join(extra.get("reasoning_content") or "" for extra in thoughts)
    assert thought == ("" if key == "content" else said)


@pytest.mark.parametrize(
    "text",
    [
        b'"',
        b"\\n",
        b"\\u00e4",
        b"\\",
        b"\n",
        b"\x00",
        b"\xff",
        b'x"},"finish_reason":5,"a":{"b":"',
    ],
)
def test_a_text_that_is_not_plain_is_decoded(text: bytes) -> None:
    """Whatever is no inside of a JSON string never gets through."""
    line = Line().feed(event(chunk({"content": "a"})), event(chunk({"content": "b"})))
    line.feed(event(chunk({"content": "TEXT"})).replace(b"TEXT", text))
    line.feed(event(chunk(finish="stop")), DONE)
    read = line.read()
    if text in (b"\\n", b"\\u00e4"):
        assert read.texts == {0: "ab" + json.loads(b'"' + text + b'"')}
    else:
        assert read.texts == {0: "ab"}
        assert read.error is not None or read.finishes == {0: "stop"}


def test_usage_is_told_only_to_who_asked() -> None:
    """The server always tells it."""
    assert Line().feed(plain("a")).read().usage is None
    read = Line(with_usage=True).feed(plain("a", "b", "c")).read()
    assert read.usage == USAGE


@pytest.mark.parametrize("with_usage", [False, True])
def test_null_usage_comes_and_goes_as_the_client_asked(with_usage: bool) -> None:
    """Some servers write it into each chunk, some never."""
    for extra in ({"usage": None}, {}, {"usage": None, "obfuscation": "x"}):
        events = [event(chunk({"content": text}, **extra)) for text in "abc"]
        line = Line(with_usage=with_usage).feed(*events, event(chunk(finish="stop")), DONE)
        assert line.read().texts == {0: "abc"}


def test_usage_in_every_chunk_is_counted_and_taken_out() -> None:
    """SGLang's continuous_usage_stats."""
    events = [event(chunk({"content": t}, usage=USAGE)) for t in "abc"]
    line = Line().feed(*events, event(chunk(finish="stop")), DONE)
    assert line.read().texts == {0: "abc"}
    assert line.stream.usage is not None
    assert line.stream.usage.prompt_tokens == 3


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_a_stream_may_be_cut_at_every_byte(spaced: bool, newline: bytes) -> None:
    """In two at any place, and in single bytes, with any line end."""
    bodies = [chunk({"role": "assistant"}), chunk({"content": 'a"\\b'}), chunk({"content": "é😀"})]
    data = b"".join([event(body, spaced) for body in bodies]) + b": ping\n\n"
    data += event(chunk(finish="stop"), spaced) + event(USAGE_CHUNK, spaced) + DONE
    data = data.replace(b"\n", newline)
    for place in range(len(data)):
        read = Line().feed(data[:place], data[place:]).finish().read()
        assert read.texts == {0: 'a"\\bé😀'}
        assert read.error is None
    single = Line().feed(*(data[i : i + 1] for i in range(len(data)))).finish()
    assert single.read().texts == {0: 'a"\\bé😀'}


def test_events_that_come_together_are_written_together() -> None:
    """One write for everything that can be passed on."""
    line = Line().feed(event(chunk({"content": "a"})), event(chunk({"content": "b"})))
    before = len(line.sheet.writes)
    line.feed(b"".join(event(chunk({"content": "x"})) for _ in range(50)))
    assert len(line.sheet.writes) == before + 1


@pytest.mark.parametrize("place", ["first", "later"])
def test_an_error_inside_of_a_stream_is_told_as_ours(place: str) -> None:
    """First it is a status, later an event; a full queue keeps its kind."""
    told = {"error": {"message": "The request queue is full.", "type": "x", "code": 503}}
    line = Line()
    if place == "later":
        line.feed(event(chunk({"content": "a"})), event(chunk({"content": "b"})))
    line.feed(event(told), DONE)
    assert isinstance(line.ends[0], Overloaded)
    assert line.stream.begun == (place == "later")
    if place == "first":
        assert line.sheet.writes == []
    else:
        assert line.read().error is not None


def test_an_error_hidden_behind_a_good_beginning_is_found() -> None:
    """A chunk with choices and an error is an error."""
    line = Line().feed(event(chunk({"content": "a"})), event(chunk({"content": "b"}, error="oops")))
    assert isinstance(line.ends[0], EngineDead)


@pytest.mark.parametrize("reason", ["abort", "error", "cancelled"])
def test_an_abort_is_no_finish(reason: str) -> None:
    """The engine gave the request up."""
    line = Line().feed(event(chunk({"content": "a"})), event(chunk(finish=reason)), DONE)
    assert isinstance(line.ends[0], EngineDead)


@pytest.mark.parametrize(
    ("told", "ours"),
    [
        ("eos_token", "stop"),
        ("max_tokens", "length"),
        ("tool_calls", "tool_calls"),
        ("new", "stop"),
    ],
)
def test_other_words_for_a_finish_are_translated(told: str, ours: str) -> None:
    """Into the five that SDKs know."""
    read = Line().feed(event(chunk({"content": "a"})), event(chunk(finish=told)), DONE).read()
    assert read.finishes == {0: ours}


def test_an_end_without_a_finish_is_an_error() -> None:
    """With [DONE] or without."""
    for end in (DONE, b""):
        line = Line().feed(event(chunk({"content": "a"})), end).finish()
        assert isinstance(line.ends[0], EngineDead)


def test_an_end_without_done_is_good_enough_after_a_finish() -> None:
    """If the body itself is complete, even when the last event lacks its empty line."""
    data = event(chunk({"content": "a"})) + event(chunk(finish="stop"))
    assert Line().feed(data.rstrip(b"\n")).finish().read().finishes == {0: "stop"}


def test_what_follows_done_is_ignored() -> None:
    """It is over."""
    line = Line().feed(plain("a") + event(chunk({"content": "late"})) + b"garbage\n\n")
    assert line.read().texts == {0: "a"}


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: 5\n\n", b'data: {"choices":5}\n\n'])
def test_what_is_no_chunk_is_an_error(data: bytes) -> None:
    """Not passed on for the client's parser to stumble over."""
    line = Line().feed(data)
    assert isinstance(line.ends[0], EngineDead)


def test_an_event_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory per stream is bounded."""
    monkeypatch.setattr("hoonify_router.adapters.sse.MAX_EVENT_BYTES", 1000)
    line = Line().feed(b"data: " + b"x" * 2000)
    assert isinstance(line.ends[0], EngineDead)


def test_comments_names_and_ids_of_events_are_skipped() -> None:
    """SSE has more than data."""
    data = b": hello\n\nevent: message\nid: 5\nretry: 3\n" + plain("a")
    assert Line().feed(data).read().texts == {0: "a"}


def test_an_event_in_several_lines_is_one() -> None:
    """SSE allows it, so somebody does it."""
    body = json.dumps(chunk({"content": "a"}), indent=1)
    data = b"".join(b"data: " + line.encode() + b"\n" for line in body.splitlines()) + b"\n"
    assert Line().feed(data, event(chunk(finish="stop")), DONE).read().texts == {0: "a"}


def test_choices_before_the_names_cost_decoding_only() -> None:
    """llama-server writes its keys in another order."""
    bodies = [chunk({"content": text}) for text in "abc"] + [chunk(finish="stop")]
    data = b"".join(event(dict(sorted(body.items()))) for body in bodies)
    read = Line().feed(data, DONE).read()
    assert read.texts == {0: "abc"}
    assert {c.model for c in read.chunks} == {"catalog-id"}


def test_several_choices_are_told_apart() -> None:
    """Each with its own role and finish."""
    events = [event(chunk({"content": "a"}, index=1)), event(chunk({"content": "b"}, index=0))]
    events += [event(chunk({"content": "c"}, finish="length", index=1))]
    events += [event(chunk(finish="stop", index=0)), DONE]
    read = Line(choices=2).feed(*events).read()
    assert read.texts == {0: "b", 1: "ac"}
    assert read.finishes == {0: "stop", 1: "length"}


def test_a_choice_that_nobody_asked_for_is_an_error() -> None:
    """Also when it hides behind the usual beginning."""
    body = chunk({"content": "b"})
    body["choices"].append({"index": 1, "delta": {"content": "x"}, "finish_reason": None})
    line = Line().feed(event(chunk({"content": "a"})), event(body))
    assert isinstance(line.ends[0], EngineDead)


def test_tool_calls_and_reasoning_come_through() -> None:
    """As the server tells them."""
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": '{"finish_reason":"stop","error":1}'}}
    events = [
        event(chunk({"role": "assistant", "content": None, "reasoning_content": "Hmm."})),
        event(chunk({"content": None, "tool_calls": [call]})),
        event(chunk({"tool_calls": [more]})),
        event(chunk(finish="tool_calls")),
        DONE,
    ]
    line = Line().feed(*events)
    read = line.read()
    assert read.finishes == {0: "tool_calls"}
    assert b'"reasoning_content":"Hmm."' in line.sheet.data
    calls = [call for c in read.chunks for call in c.choices[0].delta.tool_calls or ()]
    assert [call.function.arguments for call in calls if call.function] == [
        "",
        '{"finish_reason":"stop","error":1}',
    ]


def test_logprobs_come_through() -> None:
    """With the first chunk, which is decoded, and with later ones."""
    token = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}
    events = []
    for text in "ab":
        body = chunk({"content": text})
        body["choices"][0]["logprobs"] = {"content": [token], "refusal": None}
        events.append(event(body))
    read = Line().feed(*events, event(chunk(finish="stop")), DONE).read()
    assert read.texts == {0: "ab"}
    assert [c.choices[0].logprobs is not None for c in read.chunks] == [False, True, True, False]


def calling(*calls: dict[str, Any], **more: Any) -> bytes:
    return event(chunk({"tool_calls": list(calls), **more}))


@pytest.mark.parametrize(
    "pieces",
    [
        # OpenAI, SGLang
        [
            {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
            {"index": 0, "function": {"arguments": "{}"}},
            {
                "index": 1,
                "id": "b",
                "type": "function",
                "function": {"name": "g", "arguments": "{}"},
            },
        ],
        # with gaps
        [
            {
                "index": 2,
                "id": "a",
                "type": "function",
                "function": {"name": "f", "arguments": "{}"},
            },
            {
                "index": 5,
                "id": "b",
                "type": "function",
                "function": {"name": "g", "arguments": "{}"},
            },
        ],
        # the name in every piece, nulls, extras
        [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": None}, "extra": 1},
            {"index": 0, "id": None, "type": None, "function": {"name": "f", "arguments": "{"}},
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": "}", "extra": {}}},
            {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
        ],
        # all under number 0
        [
            {
                "index": 0,
                "id": "a",
                "type": "function",
                "function": {"name": "f", "arguments": "{}"},
            },
            {
                "index": 0,
                "id": "b",
                "type": "function",
                "function": {"name": "g", "arguments": "{}"},
            },
        ],
        # without numbers
        [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    ],
)
def test_tool_calls_of_all_dialects_become_openai_s(pieces: list[dict[str, Any]]) -> None:
    """Numbered without gaps, named once, under the server's own ids."""
    read = Line().feed(*map(calling, pieces), event(chunk(finish="tool_calls")), DONE).read()
    told = [["a", "f", "{}"], ["b", "g", "{}"]]
    assert read.calls == {0: told[: 1 if len(pieces) == 1 else 2]}


def test_several_calls_in_one_chunk() -> None:
    """Each by its number; a call without an id gets ours."""
    calls = [
        {"index": place, "type": "function", "function": {"name": name, "arguments": "{}"}}
        for place, name in enumerate("fg")
    ]
    read = Line().feed(calling(*calls), event(chunk(finish="tool_calls")), DONE).read()
    assert [call[1:] for call in read.calls[0]] == [["f", "{}"], ["g", "{}"]]
    assert all(call[0].startswith("call_ours") for call in read.calls[0])


def test_arguments_without_a_name_are_an_error() -> None:
    """Nobody could call that."""
    line = Line().feed(calling({"index": 0, "function": {"arguments": "{}"}}))
    assert isinstance(line.ends[0], EngineDead)


def test_calls_of_custom_tools_come_through() -> None:
    """Their input is free text."""
    pieces: list[dict[str, Any]] = [
        {"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}},
        {"index": 0, "custom": {"input": "y"}},
    ]
    line = Line().feed(*map(calling, pieces), event(chunk(finish="tool_calls")), DONE)
    assert line.ends == [None]
    told = b'"tool_calls":[{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":"x"}}]'
    assert told in line.sheet.data
    assert b'"tool_calls":[{"index":0,"custom":{"input":"y"}}]' in line.sheet.data


def test_log_probabilities_are_made_openai_s() -> None:
    """Without what the server adds, with what it leaves out; also where there is no text."""
    token = {"token": "a", "logprob": None, "extra": 5}
    entry = {**token, "top_logprobs": [{"token": "b", "logprob": -1, "bytes": [98], "rank": 2}]}
    bodies = [chunk({"content": "a"}), chunk({"content": ""}), chunk({"content": "b"})]
    bodies[0]["choices"][0]["logprobs"] = {"content": [entry], "extra": 5}
    bodies[1]["choices"][0]["logprobs"] = {"content": [token]}
    bodies[2]["choices"][0]["logprobs"] = {"content": None}
    read = Line().feed(*map(event, bodies), event(chunk(finish="stop")), DONE).read()
    assert read.texts == {0: "ab"}
    assert read.logprobs[0] == [
        {
            "token": "a",
            "logprob": -9999.0,
            "bytes": None,
            "top_logprobs": [{"token": "b", "logprob": -1.0, "bytes": [98]}],
        },
        {"token": "a", "logprob": -9999.0, "bytes": None, "top_logprobs": []},
    ]


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}, 400),
        ({"object": "error", "message": "The request queue is full.", "code": 503}, 429),
        ({"error": {"message": "x", "type": "SERVICE_UNAVAILABLE", "code": 503}}, 503),
        ({"error": "Unauthorized"}, 503),
        ({"message": "boom"}, 503),
        ({"detail": "Not Found"}, 503),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_a_complaint_of_any_form_is_an_error(told: Any, kind: int, begun: bool) -> None:
    """As the first event it can still be another home's turn; later it is an event."""
    line = Line()
    first = event(chunk({"role": "assistant", "content": "", "reasoning_content": None}))
    line.feed(first, *([event(chunk({"content": "a"}))] if begun else []))
    line.feed(event(told), DONE)
    (error,) = line.ends
    assert error is not None
    assert error.status == kind
    assert line.stream.begun == begun
    assert bool(line.sheet.writes) == begun


def test_an_event_that_says_nothing_is_skipped() -> None:
    """Neither choices nor a complaint."""
    line = Line().feed(event({"type": "ping"}), event({"id": "x", "prompt_filter_results": []}))
    assert line.feed(plain("a")).read().texts == {0: "a"}


TEXTS = st.lists(
    st.text(min_size=1, max_size=6) | st.just('"finish_reason":"stop"}]}\n\ndata: [DONE]'),
    max_size=6,
)


@given(
    TEXTS,
    st.booleans(),
    st.tuples(st.booleans(), st.sampled_from([b"\n", b"\r\n"])),
    st.sampled_from([{}, {"usage": None}, {"system_fingerprint": "fp"}]),
    st.data(),
)
def test_any_stream_is_told_truthfully_wherever_it_is_cut_or_breaks(
    texts: list[str],
    with_usage: bool,
    form: tuple[bool, bytes],
    extra: dict[str, Any],
    data: st.DataObject,
) -> None:
    """What the client has read is a beginning of what the server said, and the end is told as it was."""
    spaced, newline = form
    bodies = [chunk({"role": "assistant", "content": ""}, **extra)]
    bodies += [chunk({"content": text}, **extra) for text in texts]
    bodies += [chunk(finish="stop", **extra), USAGE_CHUNK]
    wire = (b"".join(event(body, spaced) for body in bodies) + DONE).replace(b"\n", newline)
    stop = data.draw(st.integers(0, len(wire)) | st.just(len(wire)))
    cuts = sorted(data.draw(st.lists(st.integers(0, stop), max_size=6)))
    line = Line(with_usage=with_usage)
    line.feed(*(wire[a:b] for a, b in zip([0, *cuts], [*cuts, stop], strict=True)))
    if not line.stream.ended:
        line.stream.fail(EngineDead("the connection broke"))
    read = line.read()
    assert "".join(texts).startswith(read.texts.get(0, ""))
    if line.stream.error is None:
        assert read.texts.get(0, "") == "".join(texts)
        assert read.finishes == {0: "stop"}
        assert (read.usage == USAGE) == with_usage
    else:
        assert stop < len(wire)
        assert read.error is not None
        assert read.finishes == {}
