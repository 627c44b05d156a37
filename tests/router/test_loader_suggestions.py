"""The words of messages: guesses, and exceptions on one line."""

from __future__ import annotations

import pytest

from hoonify_router.errors import PluginError
from hoonify_router.loader import did_you_mean, explain


def test_a_guess_is_made_for_what_is_close_only() -> None:
    """A wild guess is worse than none."""
    assert did_you_mean("api_kesy", ["api_keys", "usage"]) == ", did you mean 'api_keys'?"
    assert did_you_mean("frobnicate", ["api_keys", "usage"]) == ""


def test_an_exception_is_told_with_the_place_it_came_from() -> None:
    """A plugin's author finds it by that."""
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    told = explain(caught.value)
    assert told.startswith("ZeroDivisionError: division by zero (test_loader_suggestions.py:")


def test_what_was_written_for_operators_is_told_as_it_is() -> None:
    """Without a class and a line of code, which would say nothing to them."""
    with pytest.raises(PluginError) as caught:
        raise PluginError("the disk\nis full")
    assert explain(caught.value) == "the disk is full"
