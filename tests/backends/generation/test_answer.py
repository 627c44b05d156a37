"""One answer: what is shown, what is counted, why it ends."""

from __future__ import annotations

import pytest

from hoonify_backends.generation.answer import Answer
from hoonify_router.types import Text

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
