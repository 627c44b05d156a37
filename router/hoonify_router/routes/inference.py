"""``POST /v1/chat/completions``, ``/v1/completions`` and ``/v1/embeddings``: what models are for.

Everything else about them is in the pipeline.
"""

from __future__ import annotations

from typing import Any

from sanic import Sanic
from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_router.connection import Written, open_reply
from hoonify_router.gateway import Gateway
from hoonify_router.types import Task


def add(app: Sanic[Any, Any]) -> None:
    """Add the routes."""
    app.add_route(chat_completions, "/v1/chat/completions", methods=["POST"])
    app.add_route(completions, "/v1/completions", methods=["POST"])
    app.add_route(embeddings, "/v1/embeddings", methods=["POST"])


async def chat_completions(request: Request) -> HTTPResponse:
    """Answer a chat."""
    return await _infer(request, "chat")


async def completions(request: Request) -> HTTPResponse:
    """Go on with texts."""
    return await _infer(request, "completion")


async def embeddings(request: Request) -> HTTPResponse:
    """Return vectors that stand for texts."""
    return await _infer(request, "embedding")


async def _infer(request: Request, task: Task) -> HTTPResponse:
    gateway: Gateway = request.app.ctx.gateway
    ctx = gateway.context(request, request.body)
    reply = open_reply(request, ctx.response_headers)
    await gateway.pipeline.infer(ctx, reply, task)
    return Written(reply)
