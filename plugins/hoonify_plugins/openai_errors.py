"""OpenAI's error envelope, as a plugin that another error shape can replace.

The router answers in this very shape without any plugin, so to leave ``openai_errors`` out of
``pipeline:`` changes nothing. It is there to be named, and as the example for an error shape of your own:
implement ``hoonify_shape_error`` in a plugin of yours, and it is asked before this one.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from hoonify_router.api import Middleware, MiddlewareSpec, RequestContext, hookimpl
from hoonify_router.errors import RouterError, envelope

hoonify_api_version = (1, 0)


class OpenAIErrorsSettings(Struct, forbid_unknown_fields=True):
    """OpenAI's error envelope; there is nothing to set."""


@hookimpl
def hoonify_register_middleware() -> list[MiddlewareSpec]:
    """Offer ``openai_errors`` for ``pipeline:``; on a request's way it does nothing."""
    return [
        MiddlewareSpec(
            name="openai_errors",
            summary="Answers errors in OpenAI's shape, which is also the router's own.",
            settings=OpenAIErrorsSettings,
            build=lambda settings, context: Middleware(),
        )
    ]


@hookimpl(trylast=True)
def hoonify_shape_error(error: RouterError, context: RequestContext) -> dict[str, Any]:
    """Return ``{"error": {"message", "type", "param", "code"}}``."""
    return envelope(error)
