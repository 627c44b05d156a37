"""The text of a request as far as it decides what an engine can keep of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hoonify_router.types import ChatRequest, CompletionRequest, InferenceRequest

_TAIL = 64


def prompt_text(request: InferenceRequest | None, limit: int) -> str:
    """Return the first ``limit`` characters of what an engine reads; nothing of requests without a KV cache.

    Roles count, since templates write them; two messages never read like one.
    """
    pieces: list[str] = []
    size = 0
    for piece in _pieces(request):
        pieces.append(piece)
        size += len(piece)
        if size >= limit:
            break
    return "".join(pieces)[:limit]


def _pieces(request: InferenceRequest | None) -> Iterator[str]:
    if isinstance(request, ChatRequest):
        for message in request.messages:
            yield f"\0{message.role}\0"
            content = message.content
            if isinstance(content, str):
                yield content
            else:
                yield from map(_part, content or ())
    elif isinstance(request, CompletionRequest):
        yield from _prompt(request.prompt)


def _part(part: Any) -> str:
    """Return the text of a part; of an image enough to know it again."""
    text = getattr(part, "text", None)
    if isinstance(text, str):
        return text
    url = getattr(getattr(part, "image_url", None), "url", "")
    return f"\0image {len(url)} {url[-_TAIL:]}\0"


def _prompt(prompt: Any) -> Iterator[str]:
    """Return a text, or the first of several; tokens by their numbers."""
    if isinstance(prompt, str):
        yield prompt
    elif prompt and isinstance(prompt[0], int):
        for token in prompt:
            yield f"{token} "
    elif prompt:
        yield from _prompt(prompt[0])
