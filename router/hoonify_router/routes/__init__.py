"""The door's own routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sanic import Sanic

from hoonify_router.api import APIRoute, Route
from hoonify_router.routes import extra, failures, health, inference, models
from hoonify_router.routes.admin import admin_routes

__all__ = ["add_routes", "admin_routes"]


def add_routes(app: Sanic[Any, Any], routes: Sequence[Route | APIRoute] = ()) -> None:
    """Give ``app`` its routes, those of plugins, and its way of failing; ``app.ctx.gateway`` must be set."""
    inference.add(app)
    models.add(app)
    health.add(app)
    failures.add(app)
    extra.add(app, routes)
