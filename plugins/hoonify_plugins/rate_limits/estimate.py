"""How many tokens an answer may have: what is reserved for it."""

from __future__ import annotations

from hoonify_router.types import InferenceRequest

_MOST = 1 << 40  # values are checked later: a client may ask for any number


def answer_tokens(request: InferenceRequest, default: int, context_length: int) -> int:
    """Return the tokens that the answers to a request may take.

    Args:
        request: It need not be valid.
        default: Of an answer whose request sets no limit.
        context_length: Of the model; no answer is longer.
    """
    if request.task == "embedding":
        return 0
    limit: int | None = request.token_limit  # type: ignore[union-attr]
    each = min(default if limit is None else limit, context_length)
    return min(max(0, each * request.choices), _MOST)
