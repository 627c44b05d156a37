"""Whatever an engine's server says, its clients read neither paths nor addresses, stacks or keys."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.router.doubles import request
from tests.thoroughness import examples

from hoonify_plugins import openai_errors
from hoonify_router.adapters.refusals import refusal, stream_refusal
from hoonify_router.shaping import Shaper

SHAPER = Shaper(openai_errors.hoonify_shape_error)

WORD = st.from_regex(r"[a-z][a-z0-9_]{2,9}", fullmatch=True)
NUMBER = st.integers(0, 255)
PORT = st.integers(1024, 65535)
TOKEN = st.from_regex(r"[A-Za-z0-9]{20,40}", fullmatch=True)

PATH = st.builds("/{}/{}/{}".format, WORD, WORD, WORD)
SECRETS = st.one_of(
    PATH,
    PATH.map(lambda path: f"~{path}"),
    PATH.map(lambda path: f"..{path}.py"),
    st.builds("C:\\{}\\{}.bin".format, WORD, WORD),
    st.builds("\\\\{}\\{}".format, WORD, WORD),
    st.builds("http://{}.{}/v1".format, WORD, WORD),
    st.builds("redis://:{}@{}:6379".format, TOKEN, WORD),
    st.builds("{}.{}.{}.{}:{}".format, NUMBER, NUMBER, NUMBER, NUMBER, PORT),
    st.builds("10.{}.{}.{}".format, NUMBER, NUMBER, NUMBER),
    st.builds("[fe80::{:x}:{:x}]".format, NUMBER, NUMBER),
    st.builds("{}:{}".format, WORD, PORT),
    st.builds("{}.svc.cluster.local".format, WORD),
    st.builds("gpu-1.{}.example.net:443".format, WORD),
    st.builds('File "{}", line 7, in {}'.format, WORD, WORD),
    st.builds("Traceback (most recent call last): {}".format, WORD),
    st.builds("at {}.{}({}.java:12)".format, WORD, WORD, WORD),
    st.builds("hoo_{}".format, TOKEN),
    st.builds("sk-proj-{}".format, TOKEN),
    st.builds("hf_{}".format, TOKEN),
    st.builds("Bearer {}".format, TOKEN),
    st.builds("api_key={}".format, TOKEN),
    st.builds("Authorization: Basic {}".format, TOKEN),
    st.builds("segfault at 0x{}".format, st.from_regex(r"[0-9a-f]{12}", fullmatch=True)),
)
BEFORE = st.sampled_from(["", "Bad request: ", "('", '"', "failed at ", "model=", "(", "x "])
AFTER = st.sampled_from(["", " not found", "'", '"]', ".", ")", ", retry", "\n"])


def shapes(said: str, kind: str) -> list[Any]:
    """Return the five shapes of SGLang's errors, and others that servers use."""
    return [
        {"object": "error", "message": said, "type": kind, "param": None, "code": 400},
        {"error": said},
        {"detail": said},
        {"detail": [{"loc": ["body", said], "msg": said, "type": kind}]},
        {"error": {"message": said, "type": kind, "param": said, "code": kind}},
        {"type": "error", "error": {"type": kind, "message": said}},
        {
            "object": "error",
            "message": said,
            "type": kind,
            "param": f"messages.{kind}",
            "code": said,
        },
        {"error": {"message": {"nested": said}, "code": [said]}},
        {"message": said, "traceback": said},
        [{"error": said}],
        said,
    ]


@st.composite
def hostile(draw: st.DrawFn) -> tuple[str, Any]:
    """Return what must not get out, and a body that holds it."""
    secret = draw(SECRETS)
    said = draw(BEFORE) + secret + draw(AFTER)
    kind = draw(
        st.sampled_from(["BadRequestError", "invalid_value", "context_length_exceeded", said])
    )
    return secret, draw(st.sampled_from(shapes(said, kind)))


def read(body: bytes, secret: str) -> str:
    """Return all that a client reads; the secret as it is and as JSON spells it are looked for."""
    told = json.loads(body)["error"]
    assert set(told) == {"message", "type", "param", "code"}
    text = json.dumps(told, ensure_ascii=False) + "\n".join(map(str, told.values()))
    assert secret not in text
    return text


@settings(max_examples=examples(600), deadline=None)
@given(st.integers(300, 599), hostile(), st.sampled_from(["chat", "completion", "embedding"]))
def test_no_answer_of_an_engine_leaks(status: int, given_: tuple[str, Any], task: Any) -> None:
    """As a status with a body, in any shape, and as an error within a stream that began well."""
    secret, told = given_
    body = told.encode() if isinstance(told, str) else json.dumps(told).encode()
    error = refusal(status, {b"retry-after": secret.encode()}, body, task)
    read(SHAPER.body(error, request())[0], secret)
    within = stream_refusal(told.get("error", told) if isinstance(told, dict) else told, task)
    read(json.dumps(SHAPER.event(within, request())).encode(), secret)


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(300, 599), st.binary(max_size=300))
@example(400, b"[" * 100_000)
@example(400, b'{"error":{"message":"' + b"a" * 50_000 + b'"}}')
@example(400, b'{"error":{"message":"x","param":"messages' + b".a" * 20_000 + b'"}}')
def test_any_bytes_become_an_error(status: int, body: bytes) -> None:
    """A short one, in our shape."""
    told, _ = SHAPER.body(refusal(status, {}, body), request())
    read(told, "\0")
    assert len(told) < 2000


@pytest.mark.parametrize(
    "said",
    [
        "temperature must be between 0 and 2",
        "messages[0].content: expected text/plain or an array",
        "The input (9 tokens) is longer than the model's context length (8).",
        "unknown role 'robot'; one of system, user, assistant",
        "top_p: 1.5 is not in [0, 1]",
        "n=3 with best_of=2 is not possible; see logit_bias.50256",
        "Grammar error at character 12: expected '}' or ','",
    ],
)
def test_what_helps_a_client_is_passed_on(said: str) -> None:
    """A scrubber that hides everything would be easy."""
    told, _ = SHAPER.body(
        refusal(400, {}, json.dumps({"error": {"message": said}}).encode()), request()
    )
    assert json.loads(told)["error"]["message"] == said
