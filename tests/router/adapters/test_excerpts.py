"""The log says what an engine complained of, and never what the client asked."""

from __future__ import annotations

import json

import pytest

from hoonify_router.adapters.excerpts import excerpt
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    InferenceRequest,
    Message,
)

SECRET = "the launch code is 'ünb\u00e9kannt' 0000"
REQUESTS: list[InferenceRequest] = [
    ChatRequest("m", [Message("system", "be kind"), Message("user", SECRET)]),
    CompletionRequest("m", ["hello", SECRET]),
    EmbeddingRequest("m", SECRET),
]


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_an_answer_that_repeats_the_prompt_is_kept_out(
    request_: InferenceRequest, ascii_only: bool
) -> None:
    """In whichever of JSON's spellings."""
    body = json.dumps({"detail": f"cannot do {SECRET!s}"}, ensure_ascii=ascii_only).encode()
    told = excerpt(body, request_)
    assert "launch" not in told
    assert str(len(body)) in told


def test_any_other_is_told_in_part() -> None:
    """Enough of it to act on."""
    told = excerpt(b"CUDA error: the system is out of memory" + b"x" * 5000, REQUESTS[0])
    assert "CUDA error: the system is out of memory" in told
    assert len(told) < 600


def test_an_operator_may_want_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The debug option is for that."""
    monkeypatch.setenv("HOONIFY_LOG_PROMPTS", "1")
    assert "launch" in excerpt(SECRET.encode(), REQUESTS[0])
