"""The door's own routes."""

from __future__ import annotations

from typing import Any

from sanic import Sanic

from hoonify_router.routes import chat, failures, health, models


def add_routes(app: Sanic[Any, Any]) -> None:
    """Give ``app`` its routes and its way of failing; ``app.ctx.gateway`` must be set."""
    chat.add(app)
    models.add(app)
    health.add(app)
    failures.add(app)
