"""Estimates of prompts: a guess at first, close once a model has answered."""

from __future__ import annotations

from hoonify_router.estimate import Estimator, may_show
from hoonify_router.parsing import parse_chat, parse_completion


def test_the_estimate_learns_from_what_engines_count() -> None:
    """After some requests it is within a few percent; of other models it knows nothing."""
    estimator = Estimator()
    body = b"x" * 900
    assert estimator.prompt("m", body) == 225
    for _ in range(40):
        estimator.learn("m", body, 300)
    assert 290 < estimator.prompt("m", body) < 310
    assert estimator.prompt("other", body) == 225


def test_one_odd_answer_changes_little() -> None:
    """An engine that counts wildly is not believed at once."""
    estimator = Estimator()
    estimator.learn("m", b"x" * 900, 10**9)
    estimator.learn("m", b"x" * 900, 0)
    assert 225 < estimator.prompt("m", b"x" * 900) < 260


def test_an_image_is_not_taken_for_text() -> None:
    """Its base64 would look like a long prompt."""
    estimator = Estimator()
    body = b'{"url": "data:image/png;base64,' + b"A" * 1_000_000
    assert estimator.prompt("m", body) < 5000
    estimator.learn("m", body, 900)
    assert estimator.prompt("m", b"x" * 400) == 100


def test_a_prompt_has_a_token_at_least() -> None:
    """However short the request."""
    assert Estimator().prompt("m", b"") == 1


def test_only_messages_in_parts_may_show_images() -> None:
    """Where all are plain texts, nobody needs to look for one."""
    plain = b'{"model":"m","messages":[{"role":"user","content":";base64,"}]}'
    parts = b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}'
    assert not may_show(parse_chat(plain))
    assert may_show(parse_chat(parts))
    assert not may_show(parse_completion(b'{"model":"m","prompt":"x"}'))
