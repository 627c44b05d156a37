"""Routes that plugins bring."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sanic import Sanic
from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_router.api import APIRoute, RequestContext, Result, Route
from hoonify_router.connection import Written, open_reply
from hoonify_router.gateway import Gateway
from hoonify_router.loader import explain
from hoonify_router.serving import GENERATION

log = logging.getLogger(__name__)


def add(app: Sanic[Any, Any], routes: Sequence[Route | APIRoute]) -> None:
    """Add the routes; one that cannot be had is no reason to keep the door shut."""
    for number, route in enumerate(routes):
        try:
            handler: Callable[..., Any]
            methods: tuple[str, ...]
            if isinstance(route, APIRoute):
                handler, methods = partial(_answer, route), (route.method,)
            else:
                handler, methods = partial(_stamp, route.handler), route.methods
            app.add_route(handler, route.path, methods=methods, name=f"plugin_{number}")
        except Exception as error:  # such as a path that is taken
            module = getattr(route.handler, "__module__", "a plugin")
            log.warning("%s: its route %s cannot be had: %s", module, route.path, explain(error))


async def _stamp(handler: Callable[..., Any], request: Request, **parts: Any) -> Any:
    """Answer a plain route; its answer names the generation, too."""
    answer = handler(request, **parts)
    if inspect.isawaitable(answer):
        answer = await answer
    if isinstance(answer, HTTPResponse):
        gateway: Gateway = request.app.ctx.gateway
        answer.headers.setdefault(GENERATION, gateway.catalog.stamp)
    return answer


async def _answer(route: APIRoute, request: Request, **parts: Any) -> HTTPResponse:
    gateway: Gateway = request.app.ctx.gateway
    ctx = gateway.context(request, request.body)
    reply = open_reply(request, ctx.response_headers)
    given = {name: values[0] for name, values in request.args.items()}
    given.update({name: str(part) for name, part in parts.items()})

    async def work(ctx: RequestContext) -> Result:
        return await route.handler(ctx, given)

    await gateway.pipeline.serve(ctx, reply, work, route.scope)
    return Written(reply)
