"""What stands on the wire beside the answers themselves."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from tests.sdk.answers import read_chat
from tests.sdk.referees import check_embeddings, check_error, check_models
from tests.sdk.wire import Wire

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("home", ["tiny-chat", "far-tiny-chat"])
def test_a_seed_repeats(wire: Wire, home: str, stream: bool) -> None:
    """Same seed, same text, whichever way it comes; another seed says something else."""
    texts = []
    for seed, streamed in ((1, stream), (1, not stream), (2, stream), (3, stream)):
        request: dict[str, Any] = {
            "model": home,
            "messages": [{"role": "user", "content": "Tell me three things."}],
            "temperature": 2,
            "seed": seed,
            "max_tokens": 20,
            "stream": streamed,
        }
        texts.append(read_chat(wire.post(CHAT, request), request).choices[0].text)
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


@pytest.mark.parametrize("home", ["echo", "far-echo"])
def test_a_stream_that_breaks_ends_with_an_error_and_done(wire: Wire, home: str) -> None:
    """One event in the envelope, no finish, and [DONE] so that nobody waits."""
    said = "a b c [[error EngineDead after 2]]"
    exchange = wire.post(
        CHAT,
        {"model": home, "messages": [{"role": "user", "content": said}], "stream": True},
    )
    *chunks, error = exchange.events
    check_error(error)
    assert error["error"]["code"] == "model_unavailable"
    assert not any(chunk["choices"][0]["finish_reason"] for chunk in chunks)
    assert sum("error" in json.dumps(event) for event in exchange.events) == 1


@pytest.mark.parametrize("home", ["echo", "far-echo"])
@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter"])
@pytest.mark.parametrize("stream", [False, True])
def test_every_finish_reason_comes_through(
    wire: Wire, home: str, reason: str, stream: bool
) -> None:
    """As the engine tells it."""
    request: dict[str, Any] = {
        "model": home,
        "messages": [{"role": "user", "content": f"x[[finish {reason}]]"}],
        "stream": stream,
    }
    assert read_chat(wire.post(CHAT, request), request).choices[0].finish == reason


@pytest.mark.parametrize("home", ["echo", "far-echo"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_answer_is_an_answer(wire: Wire, home: str, stream: bool) -> None:
    """Role, finish, usage, and not a word."""
    request: dict[str, Any] = {
        "model": home,
        "messages": [{"role": "user", "content": "[[usage 1 0]]"}],
        "stream": stream,
    }
    answer = read_chat(wire.post(CHAT, request), request)
    assert not answer.choices[0].text
    assert answer.choices[0].finish == "stop"


@pytest.mark.parametrize("home", ["echo", "far-echo"])
@pytest.mark.parametrize("stream", [False, True])
def test_text_of_all_scripts_survives(wire: Wire, home: str, stream: bool) -> None:
    """Quotes, control characters, line ends and characters beyond the first plane."""
    text = 'déjà "vu" \\n\n\r\n\tdata: [DONE] 漢字 👩‍👩‍👧 \u2028 </script> \x7f'
    request: dict[str, Any] = {
        "model": home,
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
    }
    assert read_chat(wire.post(CHAT, request), request).choices[0].text == text


@pytest.mark.parametrize("home", ["echo", "far-echo"])
@pytest.mark.parametrize("encoding", [None, "float", "base64"])
@pytest.mark.parametrize("given", ["one two", ["one", "two", "three"], [1, 2], [[1], [2, 3]]])
def test_embeddings_are_what_the_schema_says(
    wire: Wire, home: str, encoding: str | None, given: Any
) -> None:
    """In either encoding; base64 holds little-endian float32."""
    request: dict[str, Any] = {"model": home, "input": given, "dimensions": 7, "user": "ada"}
    if encoding is not None:
        request["encoding_format"] = encoding
    exchange = wire.post("/v1/embeddings", request)
    assert exchange.status == 200, exchange.body
    data = exchange.json
    if encoding == "base64":
        for item in data["data"]:
            item["embedding"] = list(struct.unpack("<7f", base64.b64decode(item["embedding"])))
    check_embeddings(data)
    assert data["model"] == home
    count = len(given) if isinstance(given, list) and not isinstance(given[0], int) else 1
    assert [item["index"] for item in data["data"]] == list(range(count))
    assert all(len(item["embedding"]) == 7 for item in data["data"])


def test_models_are_what_the_schema_says(wire: Wire) -> None:
    """The list, one model, and one that is not there."""
    listed = wire.request("GET", "/v1/models").json
    check_models(listed)
    one = wire.request("GET", "/v1/models/tiny-chat").json
    check_models({"object": "list", "data": [one]})
    assert one in listed["data"]
    missing = wire.request("GET", "/v1/models/nobody")
    assert missing.status == 404
    check_error(missing.json)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"{", {}, (400, "invalid_json")),
        (b"[]", {}, (400, "invalid_type")),
        (b"{}", {}, (400, "missing_required_parameter")),
        (b"{}", {"Content_Type": "text/plain"}, (415, "unsupported_media_type")),
        (b"{}", {"Authorization": "Bearer hoo_wrong"}, (401, "invalid_api_key")),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings"])
def test_what_is_no_request_has_the_envelope(
    wire: Wire, path: str, body: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    """On every endpoint, with a request id."""
    exchange = wire.request("POST", path, body, **headers)
    check_error(exchange.json)
    assert (exchange.status, exchange.json["error"]["code"]) == expected
    assert exchange.headers["x-request-id"]
