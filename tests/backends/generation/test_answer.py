"""One answer: what is shown, what is counted, why it ends."""

from __future__ import annotations

import pytest

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.logprobs import Score
from hoonify_router.types import Finish, FinishReason, Text, TokenLogprob, ToolCall

EOS = 0


class Letters:
    """Token 1 is ``a``, 2 is ``b`` and so on."""

    def push(self, token: int) -> str:
        return chr(96 + token)

    def share(self, token: int, text: str) -> bytes:
        return text.encode()

    def spell(self, token: int) -> bytes:
        return chr(96 + token).encode()


def run(answer: Answer, tokens: list[int]) -> tuple[str, int]:
    text = ""
    for count, token in enumerate(tokens, start=1):
        text += "".join(e.text for e in answer.push(token) if isinstance(e, Text))
        if answer.finish is not None:
            return text, count
    return text, len(tokens)


def test_the_end_token_ends_it_and_is_not_counted() -> None:
    """The reason is ``stop``; the token that says so is no part of the answer."""
    answer = Answer(Letters(), limit=9, eos=frozenset({EOS}))
    assert run(answer, [1, 2, EOS, 3]) == ("ab", 3)
    assert (answer.finish, answer.tokens) == ("stop", 2)


def test_any_of_several_end_tokens_ends_it() -> None:
    """Some models have more than one."""
    answer = Answer(Letters(), limit=9, eos=frozenset({7, 8}))
    assert run(answer, [1, 8]) == ("a", 2)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_limit_ends_it(limit: int) -> None:
    """The reason is ``length``, and the last token is shown."""
    answer = Answer(Letters(), limit=limit)
    assert run(answer, [1, 2, 3, 4]) == ("abc"[:limit], limit)
    assert (answer.finish, answer.tokens) == ("length", limit)


def test_a_stop_string_ends_it() -> None:
    """The reason is ``stop``, and the tokens that made the string are counted."""
    answer = Answer(Letters(), limit=9, stops=["bc"])
    assert run(answer, [1, 2, 3, 4]) == ("a", 3)
    assert (answer.finish, answer.tokens) == ("stop", 3)


def test_a_stop_string_at_the_limit_counts_as_stop() -> None:
    """When the last token allowed completes it, the answer did not run out of room."""
    answer = Answer(Letters(), limit=2, stops=["ab"])
    assert run(answer, [1, 2]) == ("", 2)
    assert answer.finish == "stop"


@pytest.mark.parametrize("end", [[EOS], [3]])
def test_text_that_was_held_back_is_shown_at_the_end(end: list[int]) -> None:
    """The beginning of a stop string that never came is part of the answer, whatever ends it."""
    answer = Answer(Letters(), limit=3, eos=frozenset({EOS}), stops=["bx", "cx"])
    assert run(answer, [1, 2, *end])[0] == "abc"[: 2 + (end == [3])]


def test_every_event_says_whose_it_is() -> None:
    """Texts, calls and ends carry the answer's index."""
    answer = Answer(Letters(), limit=2, index=7, output=Calls())
    events = answer.push(1) + answer.push(3)
    assert events == [Text("a", 7), ToolCall(0, "f", "", 7), Finish("length", 7)]


def test_a_complete_form_ends_it() -> None:
    """Also at its limit: it has not been cut short."""
    for limit in (1, 5):
        answer = Answer(Letters(), limit=limit, stops=["ax"])
        assert answer.push(1, complete=True) == [Text("a"), Finish("stop")]


def test_an_opening_comes_first_and_once() -> None:
    """With whatever the first token brings, even with an end."""
    answer = Answer(Letters(), limit=3, opening="so: ", eos=frozenset({EOS}))
    assert answer.push(1) == [Text("so: "), Text("a")]
    assert answer.push(2) == [Text("b")]
    assert Answer(Letters(), limit=3, opening="x", eos=frozenset({EOS})).push(EOS) == [
        Text("x"),
        Finish("stop"),
    ]
    assert Answer(Letters(), limit=0, opening="x").skip() == [Text("x"), Finish("length")]


class Calls:
    """The letter ``c`` is a call, ``h`` is held back for one piece; everything else is text."""

    def __init__(self) -> None:
        self._held = ""
        self._calls = 0

    def push(self, text: str) -> list[str | ToolCall]:
        text, self._held = self._held + text, ""
        if text.endswith("h"):
            text, self._held = text[:-1], "h"
        pieces: list[str | ToolCall] = []
        for letter in text:
            if letter == "c":
                pieces.append(ToolCall(self._calls, "f"))
                self._calls += 1
            else:
                pieces.append(letter)
        return pieces

    def finish(
        self, reason: FinishReason, *, cut: bool = False
    ) -> tuple[list[str | ToolCall], FinishReason]:
        made = self._calls and reason == "stop" and not cut
        return [self._held], "tool_calls" if made else reason


def test_calls_are_told_from_text() -> None:
    """What was held back comes at the end, and calls are the reason for it."""
    answer = Answer(Letters(), limit=9, eos=frozenset({EOS}), output=Calls())
    events = [event for token in (1, 3, 8, EOS) for event in answer.push(token)]
    assert events == [Text("a"), ToolCall(0, "f"), Text("h"), Finish("tool_calls")]
    assert answer.finish == "tool_calls"


def test_a_stop_string_may_cut_a_call() -> None:
    """Whoever reads the calls is told, and decides what the reason is."""
    answer = Answer(Letters(), limit=9, stops=["d"], output=Calls())
    events = [event for token in (3, 4) for event in answer.push(token)]
    assert events == [ToolCall(0, "f"), Finish("stop")]


def test_no_empty_text_goes_out() -> None:
    """A reader of calls may give empty pieces."""
    answer = Answer(Letters(), limit=1, output=Calls())
    assert answer.push(3) == [ToolCall(0, "f"), Finish("length")]


def scored(token: int) -> Score:
    return Score(-float(token), [(token, -float(token)), (26, -9.0)])


def said(token: int) -> TokenLogprob:
    return TokenLogprob(
        chr(96 + token).encode(),
        -float(token),
        [(chr(96 + token).encode(), -float(token)), (b"z", -9.0)],
    )


def test_log_probabilities_go_out_with_their_text() -> None:
    """What is held back for a stop string holds them back; the end token has none."""
    answer = Answer(Letters(), limit=9, eos=frozenset({EOS}), stops=["bd"], told=True)
    assert answer.push(1, scored(1)) == [Text("a", 0, [said(1)])]
    assert answer.push(2, scored(2)) == []
    assert answer.push(3, scored(3)) == [Text("bc", 0, [said(2), said(3)])]
    assert answer.push(2, scored(2)) == []
    assert answer.push(EOS, scored(EOS)) == [Text("b", 0, [said(2)]), Finish("stop")]


def test_log_probabilities_of_a_stop_string_are_not_told() -> None:
    """It is no part of the answer."""
    answer = Answer(Letters(), limit=9, stops=["bc"], told=True)
    assert answer.push(1, scored(1)) == [Text("a", 0, [said(1)])]
    assert answer.push(2, scored(2)) == []
    assert answer.push(3, scored(3)) == [Finish("stop")]


def test_log_probabilities_of_calls_go_out_without_text() -> None:
    """Before the call that they became."""
    answer = Answer(Letters(), limit=2, output=Calls(), told=True)
    assert answer.push(3, scored(3)) == [Text("", 0, [said(3)]), ToolCall(0, "f")]
    assert answer.push(8, scored(8)) == [Text("h", 0, [said(8)]), Finish("length")]
