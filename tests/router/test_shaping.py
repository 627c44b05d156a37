"""Errors get a plugin's shape, or OpenAI's; never none."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.router.doubles import request

from hoonify_router.api import ErrorBody
from hoonify_router.errors import (
    InvalidValue,
    ModelUnavailable,
    NotFound,
    RouterError,
    envelope,
)
from hoonify_router.parsing import parse_chat
from hoonify_router.shaping import HIDDEN, Shaper

ERROR = InvalidValue("Too hot.", param="temperature")
OPENAI = envelope(ERROR)


def test_without_plugins_it_is_openai_s_shape() -> None:
    """With message, type, param and code."""
    assert json.loads(Shaper().body(ERROR, request())[0]) == OPENAI
    assert Shaper().event(ERROR, request()) == OPENAI


def test_a_plugin_may_shape_it() -> None:
    """It is asked with the error and the request."""

    def hook(error: Any, context: Any) -> dict[str, Any]:
        return {"problem": error.message, "see": context.request_id}

    assert json.loads(Shaper(hook).body(ERROR, request())[0]) == {
        "problem": "Too hot.",
        "see": "req-1",
    }


def test_a_stream_s_error_keeps_the_key_that_clients_look_for() -> None:
    """SDKs notice an event with ``error`` only."""
    strange = Shaper(lambda error, context: {"problem": 1})
    good = Shaper(lambda error, context: {"error": {"message": "m"}, "more": 1})
    assert strange.event(ERROR, request()) == OPENAI
    assert good.event(ERROR, request()) == {"error": {"message": "m"}, "more": 1}


@pytest.mark.parametrize("answer", [None, "text", [1], {"a": {1, 2}, "b": object()}])
def test_a_plugin_that_returns_nonsense_is_passed_over(answer: Any) -> None:
    """The client gets OpenAI's shape."""
    assert json.loads(Shaper(lambda error, context: answer).body(ERROR, request())[0]) == OPENAI


def test_a_plugin_that_fails_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """And logged."""

    def hook(error: Any, context: Any) -> None:
        raise ZeroDivisionError

    assert json.loads(Shaper(hook).body(ERROR, request())[0]) == OPENAI
    assert "hoonify_shape_error failed" in caplog.text


def test_a_plugin_may_say_what_its_shape_is() -> None:
    """As other standards for errors want it."""
    shaped = ErrorBody({"title": "Too hot."}, "application/problem+json")
    shaper = Shaper(lambda error, context: shaped)
    assert shaper.body(ERROR, request()) == (b'{"title":"Too hot."}', "application/problem+json")
    assert shaper.event(ERROR, request()) == OPENAI


@pytest.mark.parametrize(
    "inside",
    [
        "redis://:pw@cache:6379 refused",
        "no such file: '/srv/keys.db'",
        "10.2.3.4 is away",
        'Traceback (most recent call last): File "x.py"',
    ],
)
def test_what_went_wrong_on_our_side_is_not_told_with_the_inside(
    inside: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever raised it: a plugin, a backend, ourselves. The log has it."""
    ctx = request()
    body, _ = Shaper().body(ModelUnavailable(inside, retry_after=3), ctx)
    told = json.loads(body)["error"]
    assert told["message"] == HIDDEN
    assert told["code"] == "model_unavailable"
    assert inside in caplog.text
    assert json.loads(msgspec.json.encode(Shaper().event(RouterError(inside), ctx))) == envelope(
        RouterError(HIDDEN)
    )


def test_a_client_s_own_words_are_said_back() -> None:
    """Paths and all; a model may be called as it likes."""
    error = NotFound("There is nothing at GET /v1/nope.")
    assert json.loads(Shaper().body(error, request())[0]) == envelope(error)
    ctx = request({"model": "/srv/model:8192"})
    ctx.request = parse_chat(ctx.body)
    away = ModelUnavailable("The model '/srv/model:8192' is not available: it is loading.")
    assert json.loads(Shaper().body(away, ctx)[0]) == envelope(away)


def test_a_key_is_never_said_back() -> None:
    """Not even to the one who sent it: answers are logged by others."""
    error = NotFound("There is nothing at GET /v1/hoo_0123456789abcdef0123456789abcdef.")
    message = json.loads(Shaper().body(error, request())[0])["error"]["message"]
    assert message == "There is nothing at GET /v1/...."
