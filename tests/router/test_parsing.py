"""A body becomes a request, or an error that names the offending field."""

from __future__ import annotations

import contextlib
import gzip
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoonify_router.api import RequestContext
from hoonify_router.errors import (
    InvalidJSON,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    MissingParameter,
    RouterError,
    UnknownParameter,
    UnsupportedMediaType,
)
from hoonify_router.parsing import check_content_type, parse_chat, parse_request
from hoonify_router.types import ChatRequest
from hoonify_router.validation_complaints import explain

HI = b'{"role":"user","content":"hi"}'


def body(extra: str = "") -> bytes:
    return b'{"model":"m","messages":[' + HI + b"]" + extra.encode() + b"}"


ROWS = [
    (b"", InvalidJSON, None),
    (b"{", InvalidJSON, None),
    (b"hello", InvalidJSON, None),
    (b"\xff\xfe", InvalidJSON, None),
    (body() + b"x", InvalidJSON, None),
    (b'{"model":"\\ud800","messages":[]}', InvalidJSON, None),
    (body(',"temperature":NaN'), InvalidJSON, None),
    (b"[]", InvalidType, None),
    (b"null", InvalidType, None),
    (b"1" * 400, InvalidType, None),
    (b'"text"', InvalidType, None),
    (b'{"messages":[' + HI + b"]}", MissingParameter, "model"),
    (b'{"model":"m"}', MissingParameter, "messages"),
    (b'{"model":null,"messages":[]}', InvalidType, "model"),
    (b'{"model":1,"messages":[]}', InvalidType, "model"),
    (b'{"model":"m","messages":{}}', InvalidType, "messages"),
    (b'{"model":"m","messages":"hi"}', InvalidType, "messages"),
    (b'{"model":"m","messages":["hi"]}', InvalidType, "messages[0]"),
    (
        b'{"model":"m","messages":[' + HI + b',{"content":"x"}]}',
        MissingParameter,
        "messages[1].role",
    ),
    (b'{"model":"m","messages":[{"role":"wizard"}]}', InvalidValue, "messages[0].role"),
    (b'{"model":"m","messages":[{"role":5}]}', InvalidType, "messages[0].role"),
    (
        b'{"model":"m","messages":[' + HI + b',{"role":"user","content":5}]}',
        InvalidType,
        "messages[1].content",
    ),
    (
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"smell"}]}]}',
        InvalidValue,
        "messages[0].content[0].type",
    ),
    (
        b'{"model":"m","messages":[{"role":"user","content":[{"text":"a"}]}]}',
        MissingParameter,
        "messages[0].content[0].type",
    ),
    (
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}',
        MissingParameter,
        "messages[0].content[0].text",
    ),
    (
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":"x"}]}]}',
        InvalidType,
        "messages[0].content[0].image_url",
    ),
    (body(',"temperature":"hot"'), InvalidType, "temperature"),
    (body(',"temperature":1e999'), InvalidValue, "temperature"),
    (body(',"max_tokens":1.5'), InvalidType, "max_tokens"),
    (body(',"max_tokens":"9"'), InvalidType, "max_tokens"),
    (body(',"stream":1'), InvalidType, "stream"),
    (body(',"stream":"true"'), InvalidType, "stream"),
    (body(',"stop":5'), InvalidType, "stop"),
    (body(',"stop":["a",5]'), InvalidType, "stop[1]"),
    (body(',"logit_bias":{"5":"x"}'), InvalidType, "logit_bias.5"),
    (body(',"metadata":{"a":1}'), InvalidType, "metadata.a"),
    (body(',"tools":[5]'), InvalidType, "tools[0]"),
    (body(',"tools":' + "[" * 3000 + "]" * 3000), InvalidType, "tools[0]"),
    (body(',"response_format":{"a":' + "[" * 100000 + "]" * 100000 + "}"), InvalidJSON, None),
    (body(',"stream_options":true'), InvalidType, "stream_options"),
    (body(',"n":5.0'), InvalidType, "n"),
    (body(',"n":5e0'), InvalidType, "n"),
    (body(',"n":true'), InvalidType, "n"),
    (body(',"n":' + "9" * 5000), InvalidValue, "n"),
    (body(',"top_p":' + "9" * 5000), InvalidValue, "top_p"),
    (body(',"n":2,"n":0'), InvalidValue, "n"),
    (body(',"n":0,"n":"x","n":2'), InvalidValue, "n"),
    (body(',"temperature":-Infinity'), InvalidJSON, None),
    (body(',"user":"\\udfff"'), InvalidJSON, None),
    (body(',"tools":[{"a":{"b":[1,{"c":1e999}]}}]'), InvalidValue, "tools[0].a.b[1].c"),
    (body(',"temperature":3') + b"x", InvalidJSON, None),
    (
        body(',"stream_options":{"include_usge":true}'),
        UnknownParameter,
        "stream_options.include_usge",
    ),
    (body(',"x - at `$.n":1'), UnknownParameter, "x - at `$.n"),
    (body(',"x` - at `$.messages[0]":1'), UnknownParameter, "x` - at `$.messages[0]"),
    (body(',"":1'), UnknownParameter, ""),
    (body(',"temprature":1'), UnknownParameter, "temprature"),
    (body(',"best_of":2'), UnknownParameter, "best_of"),
]


@pytest.mark.parametrize(("data", "kind", "param"), ROWS)
def test_what_cannot_be_read_is_named(
    data: bytes, kind: type[RouterError], param: str | None
) -> None:
    """The kind decides the status, ``param`` is the path as OpenAI writes it."""
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(data)
    assert type(caught.value) is kind
    assert caught.value.param == param
    assert "msgspec" not in caught.value.message
    assert "$" not in caught.value.message or b"$" in data


def test_a_good_body_becomes_a_request() -> None:
    """Fields that were left out are None."""
    chat = parse_chat(body(',"temperature":1,"stop":"x"'))
    assert (chat.model, chat.temperature, chat.stop, chat.max_tokens) == ("m", 1.0, "x", None)
    assert chat.messages[0].content == "hi"


def test_a_misspelt_field_gets_a_suggestion() -> None:
    """Whoever reads the error need not look it up."""
    with pytest.raises(UnknownParameter, match="Did you mean 'temperature'"):
        parse_chat(body(',"temprature":1'))


def test_types_are_told_in_json_s_words() -> None:
    """Not in Python's; null means that a field may be left out."""
    with pytest.raises(InvalidType, match="expected an integer, but got a string"):
        parse_chat(body(',"max_tokens":"9"'))
    with pytest.raises(InvalidType, match="expected a string or an array, but got an integer"):
        parse_chat(body(',"stop":5'))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "There is no body."),
        (body(',"user":"\xff"').replace("\xff".encode(), b"\xff"), "It is not UTF-8."),
        (b"\xef\xbb\xbf" + body(), "It begins with a byte order mark."),
        (b'{"tools":[' * 20000, "It is nested too deeply."),
        (body() + b"x", "trailing characters"),
    ],
)
def test_why_it_is_no_json_is_told(data: bytes, why: str) -> None:
    """So that the client need not guess."""
    with pytest.raises(InvalidJSON, match=f"The body is not valid JSON. .*{why}"):
        parse_chat(data)


def test_a_complaint_in_new_words_is_still_an_invalid_request() -> None:
    """A later msgspec may say things differently."""
    error = explain("Something new - at `$.messages[0]`", ChatRequest)
    assert type(error) is InvalidRequest
    assert error.param == "messages[0]"


@given(st.binary(max_size=80))
def test_no_body_is_a_bug_of_ours(data: bytes) -> None:
    """Whatever bytes come, they are a request or a refusal."""
    with contextlib.suppress(InvalidRequest):
        parse_chat(data)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/json;",
        "application/vnd.acme+json",
    ],
)
def test_json_is_taken_under_its_names(content_type: str) -> None:
    """With or without a charset."""
    check_content_type(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
    ],
)
def test_anything_else_is_refused(content_type: str | None) -> None:
    """A body that is not declared as JSON is not looked at."""
    with pytest.raises(UnsupportedMediaType, match="JSON"):
        check_content_type(content_type)


def test_a_problem_waits_until_the_limits_have_counted() -> None:
    """``parse_request`` returns it instead of raising."""
    ctx = RequestContext("r", "POST", "/", {"content-type": "text/plain"}, "", time.perf_counter())
    assert isinstance(parse_request(ctx, "chat"), UnsupportedMediaType)
    ctx.headers = {"content-type": "application/json"}
    ctx.body = b"{"
    assert isinstance(parse_request(ctx, "chat"), InvalidJSON)
    assert ctx.request is None
    ctx.body = body()
    assert parse_request(ctx, "chat") is None
    assert ctx.request is not None


@pytest.mark.parametrize("encoding", ["gzip", "br, gzip"])
def test_a_compressed_body_is_named(encoding: str) -> None:
    """It is not read as broken JSON; ``identity`` is no compression."""
    headers = {"content-type": "application/json", "content-encoding": encoding}
    ctx = RequestContext("r", "POST", "/", headers, "", time.perf_counter())
    ctx.body = gzip.compress(body())
    problem = parse_request(ctx, "chat")
    assert isinstance(problem, UnsupportedMediaType)
    assert "Content-Encoding" in problem.message
    ctx.headers = {**headers, "content-encoding": "identity"}
    assert isinstance(parse_request(ctx, "chat"), InvalidJSON)
    ctx.body = body()
    assert parse_request(ctx, "chat") is None


def test_of_a_field_that_comes_twice_the_last_counts() -> None:
    """As in every JSON library that a home may use."""
    assert parse_chat(body(',"n":2,"n":3')).n == 3
