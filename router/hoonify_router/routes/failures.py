"""Whatever goes wrong outside of the pipeline, in the same shape as everything else."""

from __future__ import annotations

from asyncio import CancelledError, WriteTransport
from typing import Any, ClassVar, cast

from sanic import Sanic, exceptions
from sanic.handlers import ErrorHandler
from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_router.api import RequestContext
from hoonify_router.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RouterError,
)
from hoonify_router.gateway import Gateway
from hoonify_router.reply import Letter
from hoonify_router.shaping import internal_error


class RequestTimeout(InvalidRequest):
    """The request did not come in time."""

    status: ClassVar[int] = 408
    code: ClassVar[str] = "request_timeout"


class UnmetExpectation(InvalidRequest):
    """The ``Expect`` header asks for something that the router does not do."""

    status: ClassVar[int] = 417
    code: ClassVar[str] = "expectation_failed"


class ShapedErrors(ErrorHandler):
    """Answers every exception that reaches Sanic with our envelope."""

    async def default(  # type: ignore[override] # Sanic awaits it
        self, request: Request, exception: Exception
    ) -> HTTPResponse:
        """Return the answer for what went wrong; the limits of a known key stand in its head."""
        if isinstance(exception, CancelledError):
            return HTTPResponse(status=503)  # never sent: the client has left
        gateway: Gateway = request.app.ctx.gateway
        ctx = gateway.context(request)
        error = self._translate(request, exception, ctx)
        if isinstance(exception, exceptions.MethodNotAllowed):
            ctx.response_headers["allow"] = exception.headers.get("Allow", "")
        letter = Letter(cast(WriteTransport, request.transport), ctx.response_headers)
        await gateway.pipeline.decline(ctx, letter, error)
        return HTTPResponse(
            letter.body, letter.status, ctx.response_headers, content_type=letter.content_type
        )

    def _translate(
        self, request: Request, exception: Exception, ctx: RequestContext
    ) -> RouterError:
        if isinstance(exception, RouterError):
            return exception
        if isinstance(exception, exceptions.NotFound):
            return NotFound(f"There is nothing at {request.method} {request.path[:200]}.")
        if isinstance(exception, exceptions.MethodNotAllowed):
            return MethodNotAllowed(f"{request.path[:200]} does not take {request.method}.")
        if isinstance(exception, exceptions.PayloadTooLarge):
            limits, what = request.app.config, "request is"
            limit = limits.REQUEST_MAX_SIZE
            if "header" in str(exception):
                what, limit = "request's headers are", limits.REQUEST_MAX_HEADER_SIZE
            return PayloadTooLarge(f"The {what} larger than the limit of {limit} bytes.")
        if isinstance(exception, exceptions.RequestTimeout):
            return RequestTimeout("The request did not come in time.")
        if isinstance(exception, exceptions.ExpectationFailed):
            return UnmetExpectation("The Expect header asks for something unknown.")
        if isinstance(exception, exceptions.SanicException) and exception.status_code < 500:
            return InvalidRequest("The HTTP request is malformed.")
        return internal_error(ctx, exception)


def add(app: Sanic[Any, Any]) -> None:
    """Make ``app`` fail in our shape."""
    app.error_handler = ShapedErrors()
