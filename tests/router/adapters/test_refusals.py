"""What servers complain of becomes one of our errors, and nothing of the inside leaks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoonify_router.adapters.refusals import (
    ELSEWHERE,
    breakdown,
    discreet,
    refusal,
    stream_refusal,
    with_model_named,
)
from hoonify_router.adapters.upstream import (
    BadAnswer,
    ConnectFailed,
    ConnectionLost,
    ConnectTimedOut,
)
from hoonify_router.errors import (
    ConnectTimeout,
    ContextLengthExceeded,
    EngineDead,
    HomeMisconfigured,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    MissingParameter,
    ModelUnavailable,
    Overloaded,
    PayloadTooLarge,
    RouterError,
    UnknownParameter,
    Unsupported,
    WrongEndpoint,
)

FLAT = {"object": "error", "message": "bad grammar", "type": "BadRequestError", "code": 400}


def refuse(status: int, told: Any, **headers: str) -> RouterError:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return refusal(
        status, {k.replace("_", "-").encode(): v.encode() for k, v in headers.items()}, body
    )


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (400, FLAT, InvalidRequest),
        (400, {"error": {"message": "no"}}, InvalidRequest),
        (422, {"detail": [{"loc": ["body"], "msg": "x"}]}, InvalidRequest),
        (400, {"error": {"code": "context_length_exceeded"}}, ContextLengthExceeded),
        (
            400,
            {
                **FLAT,
                "message": "The input (9 tokens) is longer than the model's context length (8).",
            },
            ContextLengthExceeded,
        ),
        (
            400,
            {"error": {"message": "This model's maximum context length is 8 tokens."}},
            ContextLengthExceeded,
        ),
        (
            400,
            {"error": {"message": "the request exceeds the available context size"}},
            ContextLengthExceeded,
        ),
        (401, {"error": "Unauthorized"}, HomeMisconfigured),
        (403, b"", HomeMisconfigured),
        (404, {"detail": "Not Found"}, HomeMisconfigured),
        (405, b"", HomeMisconfigured),
        (302, b"", HomeMisconfigured),
        (413, b"", PayloadTooLarge),
        (429, b"", Overloaded),
        (503, {**FLAT, "message": "The request queue is full."}, Overloaded),
        (503, {"message": "shutting down"}, ModelUnavailable),
        (502, b"<html>bad gateway</html>", ModelUnavailable),
        (504, b"", ModelUnavailable),
        (500, b"Internal Server Error", EngineDead),
        (500, b"[" * 5000, EngineDead),
        (418, b"", EngineDead),
    ],
)
def test_each_status_has_its_error(status: int, told: Any, kind: type[RouterError]) -> None:
    """Ours to try again elsewhere, or the client's to mend."""
    error = refuse(status, told)
    assert type(error) is kind
    assert error.message


@pytest.mark.parametrize(
    "inside",
    [
        "1 validation error: /usr/lib/python3/site-packages/x.py",
        "see ./models/secret/config.json",
        "~/weights/llama/x.bin is missing",
        "cannot reach http://10.0.0.5:30000/v1",
        "connect to 10.0.0.5 failed",
        "localhost refused",
        "no such file: /weights",
        "connect to [fe80::1]:30000",
        "sglang:30000 is down",
        "gpu-7.internal is down",
        'File "server.py", line 7, in serve',
        "Traceback (most recent call last)",
        "<Thing object at 0x7f3a2b1c>",
        "key sk-abcdefgh12345678 is wrong",
        "hoo_abcdefgh12345678",
        "Authorization: Bearer x",
        r"C:\models\x",
        "two\nlines",
        "x" * 500,
    ],
)
def test_nothing_of_the_inside_leaks(inside: str) -> None:
    """A message that tells of it is replaced as a whole."""
    error = refuse(400, {"message": inside})
    assert error.message == "The model's engine cannot serve this request."


def test_a_harmless_message_helps() -> None:
    """It is passed on as it is, with the parameter if it is one of ours."""
    error = refuse(
        400, {"error": {"message": "Bad json_schema: no 'type'", "param": "response_format"}}
    )
    assert error.message == "Bad json_schema: no 'type'"
    assert error.param == "response_format"
    assert refuse(400, {"error": {"message": "x", "param": "secret_field"}}).param is None
    assert refuse(400, {"error": {"message": "x", "param": "tools[0].function"}}).param is not None


@given(st.integers(300, 599), st.text(max_size=60))
def test_server_errors_never_pass_a_message_on(status: int, message: str) -> None:
    """Only what the client can mend is told in the server's words."""
    told = f"<{message}>"  # no part of what we say ourselves
    error = refuse(status, {"message": told})
    if error.status >= 429:
        assert told not in error.message


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("unsupported_parameter", Unsupported),
        ("invalid_value", InvalidValue),
        ("unknown_parameter", UnknownParameter),
        ("missing_required_parameter", MissingParameter),
        ("invalid_type", InvalidType),
        ("content_policy_violation", InvalidRequest),
    ],
)
def test_a_code_that_clients_know_stays(code: str, kind: type[RouterError]) -> None:
    """A parameter that the server cannot honour is refused by name here, too."""
    told = {"error": {"message": "No top_k here.", "param": "top_k", "code": code}}
    error = refuse(400, told)
    assert type(error) is kind
    assert (error.message, error.param) == ("No top_k here.", "top_k")


def test_retry_after_is_passed_on() -> None:
    """In seconds; a date is not understood."""
    assert refuse(429, b"", retry_after="7").retry_after == 7
    assert refuse(503, b"", retry_after="7").retry_after == 7
    assert refuse(429, b"", retry_after="Mon, 23 Nov 2026 00:00:00 GMT").retry_after == 1


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"message": "The request queue is full.", "code": 503}, Overloaded),
        ({"message": "too long: maximum context length", "code": "400"}, ContextLengthExceeded),
        ({"message": "bad", "status_code": 400}, InvalidRequest),
        ({"message": "CUDA error", "code": 500}, EngineDead),
        ({"message": "who knows"}, EngineDead),
        ("text", EngineDead),
        (5, EngineDead),
        ([], EngineDead),
    ],
)
def test_an_error_inside_of_a_stream_has_a_status_too(told: Any, kind: type[RouterError]) -> None:
    """Where it says one; else the engine has failed."""
    assert type(stream_refusal(told)) is kind


def test_a_breakdown_tells_whether_anything_was_sent() -> None:
    """And never why: that is for the log."""
    assert type(breakdown(ConnectFailed("10.0.0.5: refused"))) is ModelUnavailable
    assert type(breakdown(ConnectTimedOut("10.0.0.5"))) is ConnectTimeout
    for error in (ConnectionLost("reset by 10.0.0.5"), BadAnswer("x")):
        told = breakdown(error)
        assert type(told) is EngineDead
        assert "10.0.0.5" not in told.message


@pytest.mark.parametrize("message", ["use </think> here", "tokens/second", "read and/or write"])
def test_not_every_slash_is_a_path(message: str) -> None:
    """What helps the client is told."""
    assert refuse(400, {"message": message}).message == message


def test_an_endpoint_that_a_server_lacks_is_the_wrong_one() -> None:
    """A server without embeddings is no broken home; one without the model is."""
    for status in (404, 405, 501):
        error = refusal(status, {}, b'{"detail":"Not Found"}', "embedding")
        assert isinstance(error, WrongEndpoint)
    told = b'{"message":"The model `x` does not exist."}'
    assert not isinstance(refusal(404, {}, told, "embedding"), WrongEndpoint)
    assert not isinstance(refusal(404, {}, b"", "chat"), WrongEndpoint)
    other = refuse(400, {"error": {"code": "wrong_endpoint", "message": "See /v1/completions."}})
    assert isinstance(other, WrongEndpoint)
    assert (other.message, other.param) == (ELSEWHERE, "model")


def test_a_prompt_that_is_too_long_has_the_name_of_its_field() -> None:
    """Each kind of request has another."""
    told = b'{"message":"longer than the model\'s context length"}'
    assert refusal(400, {}, told).param == "messages"
    assert refusal(400, {}, told, "completion").param == "prompt"
    assert refusal(400, {}, told, "embedding").param == "input"
    assert refuse(400, {"error": {"message": "x", "param": "dimensions"}}).param == "dimensions"


def test_an_engine_s_own_failure_is_told_discreetly() -> None:
    """What an exception says of the inside is for the log; what a client can mend is told."""
    for inside in ("no file /srv/model.onnx", "connect to 10.0.0.5 failed", "x" * 500):
        for kind in (RouterError, EngineDead, ModelUnavailable):
            told = discreet(kind(inside, retry_after=3))
            assert type(told) is kind
            assert told.message == "The model's engine has failed."
            assert told.retry_after == 3
    for error in (EngineDead("It ran out of beans."), InvalidRequest("see #/$defs/x, /etc")):
        assert discreet(error) is error


@pytest.mark.parametrize(
    ("served", "told", "read"),
    [
        (
            "org/big-7b",
            "The model 'org/big-7b' takes no images.",
            "The model 'mine' takes no images.",
        ),
        ("org/big-7b", 'model "org/big-7b": n > 1', 'model "mine": n > 1'),
        ("org/big-7b", "org/big-7b has no tools.", "mine has no tools."),
        ("org/big-7b", "Not org/big-7b-instruct, not my.org/big-7b", None),
        (
            "big",
            "The prompt is too big for the model `big`.",
            "The prompt is too big for the model `mine`.",
        ),
        ("big", "For model big: too big.", "For model mine: too big."),
        ("", "'' is empty", None),
        ("mine", "The model 'mine' does not.", None),
    ],
)
def test_a_refusal_names_the_model_as_the_client_does(
    served: str, told: str, read: str | None
) -> None:
    """Not as the server knows it; a name that is also a word stays where it may be one."""
    error = with_model_named(Unsupported(told, param="n"), served, "mine")
    assert type(error) is Unsupported
    assert (error.message, error.param) == (read or told, "n")
