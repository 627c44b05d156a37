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
        usage = Usage(max(0, self.prompt_tokens or 0), max(0, self.completion_tokens or 0))
        prompt, answer = self.prompt_tokens_details, self.completion_tokens_details
        if prompt is not None:
            usage.cached_tokens = max(0, prompt.cached_tokens or 0)
        if answer is not None:
            usage.reasoning_tokens = max(0, answer.reasoning_tokens or 0)
        if self.reasoning_tokens:
            usage.reasoning_tokens = max(usage.reasoning_tokens, self.reasoning_tokens)
        return usage
