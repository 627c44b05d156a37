"""``GET /v1/models`` and ``GET /v1/models/{id}``: the catalog as clients see it."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import unquote

import msgspec
from sanic import Sanic
from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_router.api import RequestContext, Result
from hoonify_router.connection import Written, open_reply
from hoonify_router.gateway import Gateway
from hoonify_router.model import Model
from hoonify_router.permission import check_model, may_use


def add(app: Sanic[Any, Any]) -> None:
    """Add the routes."""
    app.add_route(list_models, "/v1/models", methods=["GET", "HEAD"])
    app.add_route(show_model, "/v1/models/<model_id:path>", methods=["GET", "HEAD"])


async def list_models(request: Request) -> HTTPResponse:
    """List the models that the caller's key may use."""
    gateway: Gateway = request.app.ctx.gateway
    return await _read(request, gateway, partial(_all_models, gateway))


async def show_model(request: Request, model_id: str) -> HTTPResponse:
    """Show one model."""
    if not model_id:  # a slash at the end
        return await list_models(request)
    gateway: Gateway = request.app.ctx.gateway
    return await _read(request, gateway, partial(_one_model, gateway, unquote(model_id)))


def model_object(model: Model) -> dict[str, Any]:
    """Return OpenAI's model object, and what else the catalog knows of the model."""
    config = model.config
    supports = [model.supports[home.id] for home in model.homes if home.id in model.supports]
    modalities = {"text", *config.modalities}
    if supports and not any(one.images for one in supports):  # whatever the catalog says
        modalities.discard("image")
    told: dict[str, Any] = {
        "id": model.id,
        "object": "model",
        "created": config.created,
        "owned_by": config.provider,
        "context_length": config.context_length,
        "modalities": sorted(modalities, reverse=True),
        "state": model.state,
    }
    if tasks := {task for one in supports for task in one.tasks}:
        told["tasks"] = sorted(tasks)
    honoured = [one.parameters for one in supports if one.parameters is not None]
    if supports and len(honoured) == len(supports):  # else one of the homes decides itself
        told["parameters"] = sorted(frozenset.intersection(*honoured))
    if config.description:
        told["description"] = config.description
    if config.pricing is not None:
        told["pricing"] = msgspec.to_builtins(config.pricing)
    return told


def _all_models(gateway: Gateway, ctx: RequestContext) -> Result:
    models = gateway.catalog.models()
    data = [model_object(model) for model in models if may_use(ctx.principal, model.id)]
    return Result({"object": "list", "data": data})


def _one_model(gateway: Gateway, model_id: str, ctx: RequestContext) -> Result:
    model = gateway.catalog.resolve(model_id)
    check_model(ctx.principal, model.id)
    return Result(model_object(model))


async def _read(request: Request, gateway: Gateway, work: Any) -> HTTPResponse:
    ctx = gateway.context(request)
    reply = open_reply(request, ctx.response_headers)
    reply.head_only = request.method == "HEAD"
    await gateway.pipeline.serve(ctx, reply, work)
    return Written(reply)
