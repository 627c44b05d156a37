"""Estimates of tokens: a guess at first, close once a model has answered."""

from __future__ import annotations

from hoonify_plugins.rate_limits.estimate import Estimator
from hoonify_router.types import ChatRequest, CompletionRequest, EmbeddingRequest, Message

CHAT = ChatRequest("m", [Message("user", "hi")])


def test_the_estimate_learns_from_what_engines_count() -> None:
    """After some requests it is within a few percent."""
    estimator = Estimator(frozenset({"m"}), 10)
    body = b"x" * 900
    assert estimator.prompt(CHAT, body) == 225
    for _ in range(40):
        estimator.learn(CHAT, body, 300)
    assert 290 < estimator.prompt(CHAT, body) < 310


def test_a_model_that_does_not_exist_is_not_remembered() -> None:
    """Its name came from a client."""
    estimator = Estimator(frozenset({"m"}), 10)
    stranger = ChatRequest("x", [])
    estimator.learn(stranger, b"x" * 100, 1)
    assert estimator.prompt(stranger, b"x" * 100) == 25


def test_answers_take_what_they_may() -> None:
    """For each choice of each prompt; vectors take none."""
    estimator = Estimator(frozenset({"m"}), 10)
    assert estimator.answer(CHAT) == 10
    assert estimator.answer(ChatRequest("m", [], max_tokens=7, n=3)) == 21
    assert estimator.answer(CompletionRequest("m", ["a", "b"], max_tokens=5)) == 10
    assert estimator.answer(EmbeddingRequest("m", ["a", "b"])) == 0


def test_an_image_is_not_taken_for_text() -> None:
    """Its base64 would look like a long prompt."""
    estimator = Estimator(frozenset({"m"}), 10)
    body = b'{"url": "data:image/png;base64,' + b"A" * 1_000_000
    assert estimator.prompt(CHAT, body) < 5000
    estimator.learn(CHAT, body, 900)
    assert estimator.prompt(CHAT, b"x" * 400) == 100
