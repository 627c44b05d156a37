"""``/health`` and ``/ready``: probes, which bring no key."""

from __future__ import annotations

from typing import Any

import msgspec
from sanic import Sanic
from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_router.gateway import Gateway
from hoonify_router.serving import GENERATION


def add(app: Sanic[Any, Any]) -> None:
    """Add the routes."""
    app.add_route(health, "/health", methods=["GET", "HEAD"])
    app.add_route(ready, "/ready", methods=["GET", "HEAD"])


async def health(request: Request) -> HTTPResponse:
    """Tell that this process lives, whatever the homes do."""
    return _answer(request, 200, {"status": "ok"})


async def ready(request: Request) -> HTTPResponse:
    """Tell whether requests should come, and which homes should run and do not; a router that stops is not ready."""
    gateway: Gateway = request.app.ctx.gateway
    catalog = gateway.catalog
    serves = "ready" if catalog.serves else "waiting"
    status = "stopping" if gateway.pipeline.leaving else serves
    told = {"status": status, "missing": catalog.missing()}
    return _answer(request, 200 if status == "ready" else 503, told)


def _answer(request: Request, status: int, told: dict[str, Any]) -> HTTPResponse:
    gateway: Gateway = request.app.ctx.gateway
    headers = {
        "x-request-id": gateway.names.request_id(request.headers.get("x-request-id")),
        GENERATION: gateway.catalog.stamp,
    }
    if status == 503:
        headers["retry-after"] = "1"
    return HTTPResponse(msgspec.json.encode(told), status, headers, content_type="application/json")
