"""Errors as problem details (RFC 9457) for clients that accept them, in OpenAI's shape for all others."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from hoonify_router.api import ErrorBody, RequestContext, hookimpl
from hoonify_router.errors import RouterError

hoonify_api_version = (1, 0)

MEDIA_TYPE = "application/problem+json"
TYPES = "https://example.com/problems/"


@hookimpl
def hoonify_shape_error(error: RouterError, context: RequestContext) -> ErrorBody | None:
    """Return the problem's details, or leave the error to the next plugin."""
    if MEDIA_TYPE not in context.headers.get("accept", ""):
        return None
    problem: dict[str, Any] = {
        "type": TYPES + error.code.replace("_", "-"),
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message,
        "instance": f"urn:request:{context.request_id}",
        "code": error.code,
    }
    if error.param is not None:
        problem["param"] = error.param
    if error.retry_after is not None:
        problem["retry_after"] = error.retry_after
    return ErrorBody(problem, MEDIA_TYPE)
