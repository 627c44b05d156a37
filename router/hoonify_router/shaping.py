"""From an error to the JSON that a client reads: a plugin's shape, or OpenAI's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from hoonify_router.api import RequestContext
from hoonify_router.errors import RouterError, envelope

log = logging.getLogger(__name__)

ShapeHook = Callable[..., Any]
"""``hoonify_shape_error(error=, context=)`` of all plugins together."""

INTERNAL = "The router has made a mistake; it is logged under this request's id."


class Shaper:
    """Makes error bodies.

    Args:
        hook: The plugins' say; ``None`` where there are none.
    """

    def __init__(self, hook: ShapeHook | None = None) -> None:
        self._hook = hook

    def shape(self, error: RouterError, ctx: RequestContext) -> Mapping[str, Any]:
        """Return the body for ``error``; never fails."""
        if self._hook is not None:
            try:
                shaped = self._hook(error=error, context=ctx)
                if isinstance(shaped, dict):
                    msgspec.json.encode(shaped)
                    return shaped
            except Exception:
                log.exception("hoonify_shape_error failed for %s", ctx.request_id)
        return envelope(error)

    def body(self, error: RouterError, ctx: RequestContext) -> bytes:
        """Return the body of a failed request as JSON."""
        return msgspec.json.encode(self.shape(error, ctx))

    def event(self, error: RouterError, ctx: RequestContext) -> Mapping[str, Any]:
        """Return the body of a stream's error event; clients need an ``error`` to notice it."""
        shaped = self.shape(error, ctx)
        return shaped if isinstance(shaped.get("error"), dict) else envelope(error)


def internal_error(ctx: RequestContext, bug: BaseException) -> RouterError:
    """Log a bug of ours with everything, and return the error that says nothing of it."""
    log.error("request %s failed because of a bug", ctx.request_id, exc_info=bug)
    return RouterError(INTERNAL)
