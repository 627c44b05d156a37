"""Errors get a plugin's shape, or OpenAI's; never none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.router.doubles import request

from hoonify_router.errors import InvalidValue, envelope
from hoonify_router.shaping import Shaper

ERROR = InvalidValue("Too hot.", param="temperature")
OPENAI = envelope(ERROR)


def test_without_plugins_it_is_openai_s_shape() -> None:
    """With message, type, param and code."""
    assert json.loads(Shaper().body(ERROR, request())) == OPENAI
    assert Shaper().event(ERROR, request()) == OPENAI


def test_a_plugin_may_shape_it() -> None:
    """It is asked with the error and the request."""

    def hook(error: Any, context: Any) -> dict[str, Any]:
        return {"problem": error.message, "see": context.request_id}

    assert json.loads(Shaper(hook).body(ERROR, request())) == {
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
    assert json.loads(Shaper(lambda error, context: answer).body(ERROR, request())) == OPENAI


def test_a_plugin_that_fails_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """And logged."""

    def hook(error: Any, context: Any) -> None:
        raise ZeroDivisionError

    assert json.loads(Shaper(hook).body(ERROR, request())) == OPENAI
    assert "hoonify_shape_error failed" in caplog.text
