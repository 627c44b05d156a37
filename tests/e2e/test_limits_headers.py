"""What a key may still use stands on every answer that it gets; the product's seven statuses, as its clients see them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import openai
import pytest
from tests.e2e.conftest import Router
from tests.e2e.keyed import Line, declared, key_of, line, said, settings

NAMES = [
    f"x-ratelimit-{what}-{of}"
    for of in ("requests", "tokens")
    for what in ("limit", "remaining", "reset")
]
PLANS = {
    "wide": {"requests_per_minute": 100_000, "tokens_per_minute": 10_000_000},
    "narrow": {"requests_per_minute": 1, "tokens_per_minute": 10_000},
    "unlimited": {},
}
CONFIG = "server: {max_body_bytes: 100000}\n" + settings(
    declared("ada", "wide"),
    declared("bob", "wide", models=["other-*"]),
    declared("cyd", "wide", scopes=["usage:read"]),
    declared("dan", "narrow"),
    declared("eve", "unlimited"),
    limits={"plans": PLANS},
)


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router with the whole pipeline."""
    folder = tmp_path_factory.mktemp("limits")
    (folder / "router.yaml").write_text(CONFIG)
    started = Router(folder / "router.yaml", folder)
    try:
        started.wait_ready()
        yield started
    finally:
        started.clean_up()


@pytest.fixture
def ada(router: Router) -> Iterator[Line]:
    """A connection with a good key."""
    with line(router.port, key_of("ada")) as opened:
        yield opened


def check_limits(headers: dict[str, str], **plan: int) -> None:
    """Check all six headers against the plan."""
    assert [name for name in NAMES if name not in headers] == []
    for of in ("requests", "tokens"):
        most = plan[f"{of}_per_minute"]
        assert headers[f"x-ratelimit-limit-{of}"] == str(most)
        assert 0 <= int(headers[f"x-ratelimit-remaining-{of}"]) <= most
        reset = headers[f"x-ratelimit-reset-{of}"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:00Z", reset)
        assert -2 < datetime.fromisoformat(reset).timestamp() - time.time() <= 60
        assert datetime.fromisoformat(reset).tzinfo == UTC


CASES: list[tuple[str, int, str, str, Any, dict[str, str]]] = [
    ("answer", 200, "POST", "/v1/chat/completions", said("hi"), {}),
    ("stream", 200, "POST", "/v1/chat/completions", said("hi", stream=True), {}),
    ("completion", 200, "POST", "/v1/completions", {"model": "parrot", "prompt": "a"}, {}),
    ("embedding", 200, "POST", "/v1/embeddings", {"model": "parrot", "input": "a"}, {}),
    ("no-json", 400, "POST", "/v1/chat/completions", b"{", {}),
    ("no-such-field", 400, "POST", "/v1/chat/completions", said("hi", colour=1), {}),
    ("no-scope", 403, "GET", "/v1/admin/keys", None, {}),
    ("no-such-model", 404, "POST", "/v1/chat/completions", said("hi", model="none"), {}),
    ("no-such-model-listed", 404, "GET", "/v1/models/none", None, {}),
    ("no-such-route", 404, "GET", "/v1/nowhere", None, {}),
    ("no-such-route-posted", 404, "POST", "/nowhere", {"a": 1}, {}),
    ("method", 405, "GET", "/v1/chat/completions", None, {}),
    ("too-large", 413, "POST", "/v1/chat/completions", said("x" * 200_000), {}),
    ("not-json", 415, "POST", "/v1/chat/completions", b"a=b", {"Content-Type": "text/plain"}),
    ("value", 422, "POST", "/v1/chat/completions", said("hi", temperature=3), {}),
    ("full", 429, "POST", "/v1/chat/completions", said("[[error Overloaded]]"), {}),
    ("bug", 500, "POST", "/v1/chat/completions", said("[[bug]]"), {}),
    ("away", 503, "POST", "/v1/chat/completions", said("hi", model="gone"), {}),
    ("models", 200, "GET", "/v1/models", None, {}),
    ("model", 200, "GET", "/v1/models/parrot", None, {}),
    ("head", 200, "HEAD", "/v1/models", None, {}),
    ("usage", 200, "GET", "/v1/usage", None, {}),
    ("usage-mistake", 422, "GET", "/v1/usage?by=colour", None, {}),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_every_answer_to_a_known_key_tells_its_limits(ada: Line, case: Any) -> None:
    """Whatever it is, and it counts as one request."""
    _, status, method, path, body, headers = case
    before = ada.ask("GET", "/v1/models")
    told = ada.ask(method, path, body, **headers)
    assert told.status == status, told.body
    check_limits(told.headers, **PLANS["wide"])
    assert told.headers["x-request-id"]
    same = (
        before.headers["x-ratelimit-reset-requests"] == told.headers["x-ratelimit-reset-requests"]
    )
    assert before.left() - told.left() == 1 or not same


def test_a_model_that_the_key_may_not_use(router: Router) -> None:
    """403, with the limits."""
    with line(router.port, key_of("bob")) as bob:
        told = bob.chat()
    assert (told.status, told.json["error"]["code"]) == (403, "model_not_allowed")
    check_limits(told.headers, **PLANS["wide"])


def test_a_key_over_its_limit(router: Router) -> None:
    """429 on every route, with limits and a time that is true; it costs nothing."""
    with line(router.port, key_of("dan")) as dan:
        while dan.ask("GET", "/v1/models").status == 200:  # at most twice: once in each window
            pass
        for method, path in (
            ("POST", "/v1/chat/completions"),
            ("GET", "/v1/models"),
            ("GET", "/v1/nowhere"),
            ("PUT", "/v1/models"),
            ("GET", "/v1/usage"),
        ):
            now = time.time()
            told = dan.ask(method, path, said("hi") if method == "POST" else None)
            if told.status != 429:  # a new minute has begun
                assert now // 60 != time.time() // 60 or now % 60 < 5
                continue
            assert told.json["error"]["code"] == "rate_limit_exceeded"
            check_limits(told.headers, **PLANS["narrow"])
            assert told.left() == 0
            reset = datetime.fromisoformat(told.headers["x-ratelimit-reset-requests"]).timestamp()
            assert 0 <= now + int(told.headers["retry-after"]) - reset < 2


def test_a_plan_without_limits_says_nothing(router: Router) -> None:
    """There is nothing to tell."""
    with line(router.port, key_of("eve")) as eve:
        told = eve.chat()
    assert told.status == 200
    assert not [name for name in told.headers if name.startswith("x-ratelimit")]


@pytest.mark.parametrize("key", [None, "hoo_nonsense", "sk-foreign"])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/chat/completions", 401),
        ("GET", "/v1/models", 401),
        ("GET", "/v1/usage", 401),
        ("GET", "/v1/nowhere", 404),
        ("GET", "/v1/chat/completions", 405),
    ],
)
def test_a_stranger_is_told_no_limits(
    router: Router, key: str | None, method: str, path: str, status: int
) -> None:
    """He has none."""
    with line(router.port, key) as stranger:
        told = stranger.ask(method, path, said("hi") if method == "POST" else None)
    assert told.status == status
    assert not [name for name in told.headers if name.startswith("x-ratelimit")]


# ---------------------------------------------------------------- the seven statuses, through the SDK


def provoke(name: str, **fields: Any) -> Any:
    given = {"model": "parrot", "messages": [{"role": "user", "content": "hi"}], **fields}
    return name, given


def speaking(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


STATUSES: list[tuple[int, type[openai.APIStatusError], str, str, tuple[str, dict[str, Any]]]] = [
    (
        400,
        openai.BadRequestError,
        "invalid_request_error",
        "invalid_type",
        provoke("ada", max_tokens="x"),
    ),
    (401, openai.AuthenticationError, "authentication_error", "invalid_api_key", provoke("nobody")),
    (403, openai.PermissionDeniedError, "permission_error", "model_not_allowed", provoke("bob")),
    (403, openai.PermissionDeniedError, "permission_error", "scope_missing", provoke("cyd")),
    (
        422,
        openai.UnprocessableEntityError,
        "invalid_request_error",
        "invalid_value",
        provoke("ada", temperature=3),
    ),
    (429, openai.RateLimitError, "rate_limit_error", "rate_limit_exceeded", provoke("dan")),
    (
        500,
        openai.InternalServerError,
        "server_error",
        "internal_error",
        provoke("ada", **speaking("[[bug]]")),
    ),
    (
        503,
        openai.InternalServerError,
        "server_error",
        "model_unavailable",
        provoke("ada", model="gone"),
    ),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("expected", STATUSES, ids=[f"{row[0]}-{row[3]}" for row in STATUSES])
def test_the_seven_statuses(router: Router, expected: Any, stream: bool) -> None:
    """Class, status, body and headers of each, of a router with the whole pipeline."""
    status, kind, error_type, code, (name, fields) = expected
    with openai.OpenAI(base_url=router.base_url, api_key=key_of(name), max_retries=0) as client:
        for _ in range(4):  # who may ask once a minute has been refused by then
            try:
                client.chat.completions.create(**fields, stream=stream)
            except openai.APIStatusError as error:
                caught = error
                break
        else:
            pytest.fail("nothing was raised")
    assert type(caught) is kind
    assert (caught.status_code, caught.type, caught.code) == (status, error_type, code)
    body = caught.response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    headers = {name.lower(): value for name, value in caught.response.headers.items()}
    assert headers["content-type"] == "application/json"
    assert caught.request_id == headers["x-request-id"]
    assert ("retry-after" in headers) == (status in (429, 503))
    if status == 401:
        assert body["error"]["message"] == "Invalid API key provided."
        assert headers["www-authenticate"] == "Bearer"
        assert not [name for name in headers if name.startswith("x-ratelimit")]
    else:
        check_limits(headers, **PLANS["narrow" if name == "dan" else "wide"])
    for secret in ("Traceback", "site-packages", ".py", key_of("ada"), str(router.state)):
        assert secret not in caught.response.text
