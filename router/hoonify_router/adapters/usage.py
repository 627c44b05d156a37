"""Token counts as server homes tell them, in their many dialects."""

from __future__ import annotations

from msgspec import Struct

from hoonify_router.types import Usage


class _Details(Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class ServerUsage(Struct):
    """OpenAI's usage object; anything in it may be missing or null."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    reasoning_tokens: int | None = None  # SGLang

    def as_usage(self) -> Usage:
        """Return it as the router counts."""
        prompt, answer = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            prompt_tokens=max(0, self.prompt_tokens or 0),
            completion_tokens=max(0, self.completion_tokens or 0),
            cached_tokens=max(0, (prompt and prompt.cached_tokens) or 0),
            reasoning_tokens=max(
                0, (answer and answer.reasoning_tokens) or self.reasoning_tokens or 0
            ),
        )
