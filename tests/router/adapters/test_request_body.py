"""Only the top-level values that must change do, in any JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hoonify_router.adapters.request_body import request_body
from hoonify_router.parsing import parse_chat

HI = {"role": "user", "content": "hi"}


def send(body: bytes, served_name: str) -> Any:
    """Return what a server reads."""
    return json.loads(request_body(parse_chat(body), body, served_name))


def test_a_body_that_needs_no_change_is_not_touched() -> None:
    """Not a byte of it, spaces included."""
    body = b'{ "model" : "m",\n "messages":[{"role":"user","content":"hi"}] }'
    assert request_body(parse_chat(body), body, "m") is body
    assert request_body(parse_chat(body), body, "") is body


def test_the_model_s_name_is_replaced_at_the_top_only() -> None:
    """Nested keys, texts and tool arguments keep theirs."""
    given_body = {
        "messages": [
            HI,
            {
                "role": "assistant",
                "content": 'set "model":"m" there',
                "tool_calls": [
                    {
                        "id": "1",
                        "type": "function",
                        "function": {"name": "model", "arguments": '{"model":"m"}', "model": "m"},
                    }
                ],
            },
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "m", "model": "m"}},
        "model": "m",
    }
    got = send(json.dumps(given_body).encode(), "served/Name")
    assert got == {**given_body, "model": "served/Name"}


def test_an_escaped_key_is_the_same_key() -> None:
    """JSON knows many spellings of one name."""
    body = b'{"mod\\u0065l":"m","messages":[{"role":"user","content":"hi","name":"model"}]}'
    assert send(body, "new") == {"model": "new", "messages": [{**HI, "name": "model"}]}


def test_of_a_key_that_comes_twice_the_checked_one_counts() -> None:
    """Whatever the server would have read, it gets only one."""
    body = b'{"model":"other","messages":[{"role":"user","content":"hi"}],"model":"m"}'
    sent = request_body(parse_chat(body), body, "new")
    assert sent.count(b'"model"') == 1
    assert json.loads(sent)["model"] == "new"


def test_usage_is_always_asked_for_in_streams() -> None:
    """Whatever the client said about it."""
    for options in (None, {}, {"include_usage": False}, {"include_usage": True}):
        given_body: dict[str, Any] = {"model": "m", "messages": [HI], "stream": True}
        if options is not None:
            given_body["stream_options"] = options
        got = send(json.dumps(given_body).encode(), "m")
        assert got["stream_options"] == {"include_usage": True}
    plain = json.dumps({"model": "m", "messages": [HI], "stream": False}).encode()
    assert "stream_options" not in send(plain, "new")


def test_a_changed_request_is_written_anew() -> None:
    """The client's own bytes are not true any more."""
    chat = parse_chat(b'{"model":"m","messages":[{"role":"user","content":"hi"}]}')
    chat.max_tokens = 5
    got = json.loads(request_body(chat, None, "new"))
    assert got == {"model": "new", "messages": [HI], "max_tokens": 5}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6) | st.just('"model":"m"'),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "stream_options", 'x"model', "a\\", "é"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(
    JSON,
    st.text(max_size=8),
    st.text(min_size=1, max_size=8),
    st.tuples(st.booleans(), st.booleans()),
    st.permutations(["model", "messages", "prediction", "stream"]),
)
def test_nothing_else_changes_whatever_the_json(
    extra: Any, text: str, served: str, form: tuple[bool, bool], order: list[str]
) -> None:
    """Read back, the body is the same but for the two values."""
    stream, ascii_only = form
    fields = {
        "model": "m",
        "messages": [{"role": "user", "content": text, "name": '"model":'}],
        "prediction": {"model": extra},
        "stream": stream,
    }
    given_body = {key: fields[key] for key in order}
    got = send(json.dumps(given_body, ensure_ascii=ascii_only).encode(), served)
    expected = {**given_body, "model": served}
    if stream:
        expected["stream_options"] = {"include_usage": True}
    assert got == expected
