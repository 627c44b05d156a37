"""What is reserved for an answer."""

from __future__ import annotations

from hoonify_plugins.rate_limits.estimate import answer_tokens
from hoonify_router.types import ChatRequest, CompletionRequest, EmbeddingRequest


def test_answers_take_what_they_may() -> None:
    """For each choice of each prompt; vectors take none."""
    assert answer_tokens(ChatRequest("m", []), 10, 4096) == 10
    assert answer_tokens(ChatRequest("m", [], max_tokens=7, n=3), 10, 4096) == 21
    assert answer_tokens(CompletionRequest("m", ["a", "b"], max_tokens=5), 10, 4096) == 10
    assert answer_tokens(EmbeddingRequest("m", ["a", "b"]), 10, 4096) == 0


def test_no_answer_is_longer_than_the_context() -> None:
    """A client that sets a limit to be safe does not use up its plan with it."""
    assert answer_tokens(ChatRequest("m", [], max_tokens=10**6, n=2), 10, 1024) == 2048
    assert answer_tokens(ChatRequest("m", []), 9999, 1024) == 1024


def test_what_is_not_valid_is_a_number_all_the_same() -> None:
    """Limits come before values are checked."""
    assert answer_tokens(ChatRequest("m", [], max_tokens=-5), 10, 1024) == 0
    assert answer_tokens(ChatRequest("m", [], max_tokens=5, n=-5), 10, 1024) == 0
    assert answer_tokens(ChatRequest("m", [], max_tokens=5, n=10**30), 10, 1024) == 1 << 40
