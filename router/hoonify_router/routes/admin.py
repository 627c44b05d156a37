"""``/v1/admin/...``: what the command line asks of a running router, for keys with the scope ``admin``.

A router that asks for no keys has nobody with that scope, and refuses all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec

from hoonify_router.api import APIRoute, RequestContext, Result
from hoonify_router.errors import InvalidJSON, InvalidType

ADMIN = "admin"
CONFLICT = 409
_FAILED = ("refused", "failed")  # what a reload may come to that leaves everything as it was


@dataclass(frozen=True)
class AdminRoute:
    """A command of the supervisor's as a route; the JSON of the body, or the query of a GET, are its arguments.

    Args:
        method: Of HTTP.
        path: After ``/v1/admin/``.
        command: What the supervisor is asked for.
        patience: Seconds to wait for its answer; ``None`` is as long as it takes.
    """

    method: str
    path: str
    command: str
    patience: float | None = 90.0


ADMIN_ROUTES = (
    AdminRoute("GET", "homes", "homes"),
    AdminRoute("GET", "status", "status"),
    AdminRoute("POST", "reload", "reload", None),
    AdminRoute("POST", "plan", "plan"),
    AdminRoute("GET", "history", "history"),
    AdminRoute("POST", "rollback", "rollback", None),
    AdminRoute("POST", "drain", "drain", 3600.0),
    AdminRoute("POST", "models/start", "start", 3600.0),
    AdminRoute("POST", "models/stop", "stop", 3600.0),
    AdminRoute("POST", "models/restart", "restart", 3600.0),
)
"""All of them."""


class AskSupervisor(Protocol):
    """``SupervisorClient.ask``."""

    async def __call__(
        self, command: str, arguments: Any, *, who: str, patience: float | None
    ) -> Any:
        """Return the supervisor's answer.

        Raises:
            RouterError: What it says.
        """


def admin_routes(ask: AskSupervisor) -> list[APIRoute]:
    """Return the routes.

    Args:
        ask: Asks the supervisor.
    """
    return [
        APIRoute(f"/v1/admin/{one.path}", partial(_answer, one, ask), ADMIN, one.method)
        for one in ADMIN_ROUTES
    ]


async def _answer(
    route: AdminRoute, ask: AskSupervisor, ctx: RequestContext, given: Mapping[str, str]
) -> Result:
    arguments = dict(given) if route.method == "GET" else _body(ctx)
    who = f"key {ctx.principal.id}" if ctx.principal is not None else ""
    told = await ask(route.command, arguments, who=who, patience=route.patience)
    if isinstance(told, list):
        return Result({"object": "list", "data": told})
    failed = isinstance(told, dict) and told.get("result") in _FAILED
    return Result(told, CONFLICT if failed else 200)


def _body(ctx: RequestContext) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(ctx.body or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise InvalidJSON("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise InvalidType("The body must be a JSON object.")
    return body
