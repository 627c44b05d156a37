"""Takes addresses and card numbers out of prompts before any engine reads them."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field

from hoonify_router.api import (
    Middleware,
    MiddlewareSpec,
    Phase,
    PluginContext,
    RequestContext,
    hookimpl,
)
from hoonify_router.types import ChatRequest, TextPart

KNOWN = {
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "card": r"\b(?:\d[ -]?){13,19}\b",
}


class RedactionSettings(Struct, forbid_unknown_fields=True):
    """What `plugins: redaction:` may say."""

    kinds: Annotated[list[str], Meta(description="What is taken out: email, card.")] = field(
        default_factory=lambda: ["email", "card"]
    )
    replacement: Annotated[str, Meta(description="What stands in its place.")] = "[redacted]"


class Redaction(Middleware):
    """Changes valid requests; what it writes is what homes and fallbacks see."""

    phase: ClassVar[Phase] = Phase.TRANSFORM

    def __init__(self, settings: RedactionSettings) -> None:
        unknown = sorted(set(settings.kinds) - set(KNOWN))
        if unknown:
            raise ValueError(f"kinds: there is no {unknown[0]!r} (there are: {', '.join(KNOWN)})")
        self._pattern = re.compile("|".join(KNOWN[kind] for kind in settings.kinds) or r"(?!)")
        self._replacement = settings.replacement

    def on_request(self, ctx: RequestContext) -> Awaitable[None] | None:
        """Take it out of every message."""
        if isinstance(ctx.request, ChatRequest):
            for message in ctx.request.messages:
                if isinstance(message.content, str):
                    message.content = self._clean(message.content)
                for part in message.content if isinstance(message.content, list) else ():
                    if isinstance(part, TextPart):
                        part.text = self._clean(part.text)
        return None

    def _clean(self, text: str) -> str:
        return self._pattern.sub(self._replacement, text)


def build(settings: RedactionSettings, context: PluginContext) -> Redaction:
    """Make it."""
    return Redaction(settings)


@hookimpl
def hoonify_register_middleware() -> list[MiddlewareSpec]:
    """Register the middleware."""
    summary = "Takes addresses and card numbers out of prompts."
    return [MiddlewareSpec("redaction", summary, RedactionSettings, build)]
