"""From an error to the JSON that a client reads: a plugin's shape, or OpenAI's."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from hoonify_router.api import ErrorBody, RequestContext
from hoonify_router.discretion import tells_of_inside, without_keys
from hoonify_router.errors import RouterError, envelope

log = logging.getLogger(__name__)

ShapeHook = Callable[..., Any]
"""``hoonify_shape_error(error=, context=)`` of all plugins together."""

HIDDEN = "The request has failed; the router's log says why under this request's id."
INTERNAL = "The router has made a mistake; it is logged under this request's id."


class Shaper:
    """Makes error bodies.

    Args:
        hook: The plugins' say; ``None`` where there are none.
    """

    def __init__(self, hook: ShapeHook | None = None) -> None:
        self._hook = hook

    def shape(self, error: RouterError, ctx: RequestContext) -> ErrorBody:
        """Return the body for ``error``; never fails."""
        error = _discreet(error, ctx)
        if self._hook is not None:
            try:
                shaped = self._hook(error=error, context=ctx)
                if isinstance(shaped, dict):
                    shaped = ErrorBody(shaped)
                if isinstance(shaped, ErrorBody):
                    msgspec.json.encode(shaped.content)
                    return shaped
            except Exception:
                log.exception("hoonify_shape_error failed for %s", ctx.request_id)
        return ErrorBody(envelope(error))

    def body(self, error: RouterError, ctx: RequestContext) -> tuple[bytes, str]:
        """Return the body of a failed request, and of what type it is."""
        shaped = self.shape(error, ctx)
        return msgspec.json.encode(shaped.content), shaped.content_type

    def event(self, error: RouterError, ctx: RequestContext) -> Mapping[str, Any]:
        """Return the body of a stream's error event; clients need an ``error`` to notice it."""
        shaped = self.shape(error, ctx).content
        return shaped if isinstance(shaped.get("error"), dict) else envelope(_discreet(error, ctx))


def internal_error(ctx: RequestContext, bug: BaseException) -> RouterError:
    """Log a bug of ours with everything, and return the error that says nothing of it."""
    log.error("request %s failed because of a bug", ctx.request_id, exc_info=bug)
    return RouterError(INTERNAL)


def _discreet(error: RouterError, ctx: RequestContext) -> RouterError:
    """Return an error that clients may read, wherever it comes from.

    What went wrong on our side is told in full or not at all. What a client did wrong is told in its own words,
    paths and all; only what looks like a key is not said back.
    """
    message = without_keys(error.message)
    if error.status >= 500:
        asked = "" if ctx.request is None else ctx.request.model
        if tells_of_inside(error.message.replace(asked, "") if asked else error.message):
            log.error("request %s failed: %s", ctx.request_id, error.message)
            message = HIDDEN
    if message == error.message:
        return error
    told = copy.copy(error)
    told.message = message
    return told
