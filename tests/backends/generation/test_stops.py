"""Stop strings: complete first, never shown, wherever the text is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoonify_backends.generation.stops import StopMatcher


def shown(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    matcher = StopMatcher(stops)
    text = "".join(matcher.push(piece) for piece in pieces)
    return text + ("" if matcher.stopped else matcher.flush()), matcher.stopped


def expected(stops: list[str], text: str) -> tuple[str, bool]:
    """Look at the text as it grows by single characters; the simplest thing that can be right."""
    for end in range(1, len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)], True
    return text, False


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_stop_string_is_found_across_any_border(cut: int) -> None:
    """Wherever two pieces meet, the text ends before the stop string."""
    text = "one END two"
    assert shown(["END"], [text[:cut], text[cut:]]) == ("one ", True)


def test_nothing_of_a_stop_string_is_shown_early() -> None:
    """Its beginning is held back until it turns out to be something else."""
    matcher = StopMatcher(["STOP"])
    assert [matcher.push(piece) for piece in ["aS", "T", "O", "x", "STO"]] == [
        "a",
        "",
        "",
        "STOx",
        "",
    ]
    assert matcher.flush() == "STO"


def test_the_stop_string_that_is_complete_first_wins() -> None:
    """A longer one that began earlier does not count if it ends later."""
    assert shown(["abcd", "bc"], ["abcde"]) == ("a", True)


def test_a_repeated_beginning_is_not_missed() -> None:
    """After a failed attempt the next one may already have begun inside it."""
    assert shown(["aab"], ["aa", "a", "b"]) == ("a", True)


def test_text_after_the_stop_is_ignored() -> None:
    """The tokens that were on their way when the answer ended bring nothing."""
    matcher = StopMatcher(["."])
    assert matcher.push("a.b") == "a"
    assert matcher.push("c") == ""
    assert matcher.flush() == ""


@given(
    st.lists(st.text("abX", min_size=1, max_size=4), min_size=1, max_size=4),
    st.text("abX", max_size=30),
    st.lists(st.integers(0, 30), max_size=10),
)
def test_cuts_make_no_difference(stops: list[str], text: str, cuts: list[int]) -> None:
    """Any cutting of the text gives what reading it character by character gives."""
    borders = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(borders)]
    assert shown(stops, pieces) == expected(stops, text)


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4),
    st.lists(st.text("abX", max_size=3), max_size=12),
)
def test_what_is_held_back_is_shorter_than_the_longest_stop(
    stops: list[str], pieces: list[str]
) -> None:
    """Memory stays small, and text is never held back longer than needed."""
    matcher = StopMatcher(stops)
    given_so_far = out = ""
    for piece in pieces:
        given_so_far += piece
        out += matcher.push(piece)
        if matcher.stopped:
            break
        held = given_so_far[len(out) :]
        assert len(held) < max(map(len, stops))
        assert held == "" or any(stop.startswith(held) for stop in stops)
