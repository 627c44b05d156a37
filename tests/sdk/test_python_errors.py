"""Errors reach the unmodified Python client as the classes, codes and fields that it knows."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from tests.sdk.conftest import Served
from tests.sdk.referees import check_error

HELLO: Any = [{"role": "user", "content": "Hello!"}]


def scripted(words: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": words}]}


CASES: list[Any] = [
    ({"messages": HELLO, "extra_body": {"temprature": 1}}, 400, "unknown_parameter", "temprature"),
    ({"messages": HELLO, "max_tokens": "ten"}, 400, "invalid_type", "max_tokens"),
    ({"messages": [{"role": "user"}]}, 400, "missing_required_parameter", "messages[0].content"),
    ({"messages": HELLO, "temperature": 0.5}, 400, "unsupported_parameter", "temperature"),
    (scripted("w " * 5000), 400, "context_length_exceeded", "messages"),
    ({"messages": HELLO, "model": "no-such-model"}, 404, "model_not_found", "model"),
    ({"messages": HELLO, "temperature": 3}, 422, "invalid_value", "temperature"),
    ({"messages": []}, 422, "invalid_value", "messages"),
    (scripted("[[error Overloaded]]"), 429, "queue_full", None),
    (scripted("[[error RateLimited]]"), 429, "rate_limit_exceeded", None),
    (scripted("[[bug]]"), 500, "internal_error", None),
    (scripted("[[error ModelUnavailable]]"), 503, "model_unavailable", None),
    (scripted("[[error FirstTokenTimeout]]"), 504, "first_token_timeout", None),
]
CLASSES: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
    504: openai.InternalServerError,
}
FAR: dict[str, tuple[int, str]] = {
    "rate_limit_exceeded": (429, "queue_full"),
    "internal_error": (503, "model_unavailable"),
    "first_token_timeout": (503, "model_unavailable"),
}
"""A server's own troubles are no concern of the client's: its limits are ours, its bugs are outages."""

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def check(error: openai.APIStatusError, status: int, code: str, param: str | None) -> None:
    assert type(error) is CLASSES[status]
    assert (error.status_code, error.code, error.param) == (status, code, param)
    kind = "server_error" if status >= 500 else "invalid_request_error"
    assert error.type == TYPES.get(status, kind)
    assert error.request_id
    check_error(error.response.json())
    assert ("retry-after" in error.response.headers) == (status in (429, 503, 504))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["echo", "far-echo"])
@pytest.mark.parametrize("case", CASES, ids=[f"{case[1]}-{case[2]}" for case in CASES])
def test_the_class_tells_the_status(
    client: openai.OpenAI, model: str, stream: bool, case: Any
) -> None:
    """Before a stream begins there is a real status, whatever kind of home the model has."""
    fields, status, code, param = case
    if model == "far-echo":
        status, code = FAR.get(code, (status, code))
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**{"model": model, **fields}, stream=stream)
    check(caught.value, status, code, param)


def test_keys_are_refused(router: Served) -> None:
    """A wrong key, no key, and a key that is not for this model."""
    with router.client(api_key="hoo_wrong") as stranger:
        with pytest.raises(openai.AuthenticationError) as wrong:
            stranger.chat.completions.create(model="echo", messages=HELLO)
        with pytest.raises(openai.AuthenticationError) as missing:
            stranger.chat.completions.create(
                model="echo", messages=HELLO, extra_headers={"Authorization": openai.Omit()}
            )
    check(wrong.value, 401, "invalid_api_key", None)
    check(missing.value, 401, "missing_api_key", None)
    with router.client(api_key=router.key_for_echo) as guest:
        assert guest.chat.completions.create(model="echo", messages=HELLO).choices
        with pytest.raises(openai.PermissionDeniedError) as forbidden:
            guest.chat.completions.create(model="tiny-chat", messages=HELLO)
    check(forbidden.value, 403, "model_not_allowed", "model")


@pytest.mark.parametrize("model", ["echo", "far-echo"])
def test_a_stream_that_breaks_raises(client: openai.OpenAI, model: str) -> None:
    """The text before the failure is there, and no clean end."""
    chunks: list[ChatCompletionChunk] = []
    stream = client.chat.completions.create(
        model=model, **scripted("a b c [[error OutOfMemory after 2]]"), stream=True
    )
    with pytest.raises(openai.APIError) as caught:
        chunks.extend(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "a b"
    assert not any(chunk.choices[0].finish_reason for chunk in chunks)
    assert caught.value.code == "model_unavailable"
    assert caught.value.message


@pytest.mark.parametrize("path", ["/nothing", "/chat/completions"])
def test_what_is_not_there_has_the_envelope_too(client: openai.OpenAI, path: str) -> None:
    """No such route, no such method."""
    with pytest.raises(openai.APIStatusError) as caught:
        client.get(path, cast_to=object)
    assert caught.value.status_code == (404 if path == "/nothing" else 405)
    check_error(caught.value.response.json())
