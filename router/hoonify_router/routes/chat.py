"""``POST /v1/chat/completions``."""

from __future__ import annotations

from typing import Any

from sanic import Sanic
from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_router.connection import Written, open_reply
from hoonify_router.gateway import Gateway


def add(app: Sanic[Any, Any]) -> None:
    """Add the route."""
    app.add_route(chat_completions, "/v1/chat/completions", methods=["POST"])


async def chat_completions(request: Request) -> HTTPResponse:
    """Answer a chat request; everything else about it is in the pipeline."""
    gateway: Gateway = request.app.ctx.gateway
    ctx = gateway.context(request, request.body)
    reply = open_reply(request, ctx.response_headers)
    await gateway.pipeline.infer(ctx, reply, "chat")
    return Written(reply)
