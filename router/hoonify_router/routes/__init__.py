"""The door's own routes."""

from __future__ import annotations

from typing import Any

from sanic import Sanic

from hoonify_router.routes import failures, health, inference, models


def add_routes(app: Sanic[Any, Any]) -> None:
    """Give ``app`` its routes and its way of failing; ``app.ctx.gateway`` must be set."""
    inference.add(app)
    models.add(app)
    health.add(app)
    failures.add(app)
