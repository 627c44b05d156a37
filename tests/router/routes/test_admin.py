"""``/v1/admin``: what the command line asks of a router, for keys with the scope ``admin``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.router.doubles import notes

from hoonify_router.api import Phase, Principal
from hoonify_router.errors import NotFound
from hoonify_router.routes import admin
from hoonify_router.routes.admin import AdminRoute, admin_routes

from .conftest import OpenDoor

Asked = tuple[str, Mapping[str, Any], str]


class Supervisor:
    """Remembers what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def ask(self, command: str, arguments: Any, *, who: str, patience: float | None) -> Any:
        self.asked.append((command, arguments, who))
        if arguments.get("name") == "dodo":
            raise NotFound("It is extinct.")
        return [1] if command == "homes" else {"done": True}


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    routes = (AdminRoute("GET", "homes", "homes"), AdminRoute("POST", "models/start", "start"))
    monkeypatch.setattr(admin, "ADMIN_ROUTES", routes)
    return Supervisor()


def keyed(*scopes: str) -> list[Any]:
    """Return a pipeline in which everyone has these scopes."""

    def identify(ctx: Any) -> None:
        ctx.principal = Principal("k_1", scopes=frozenset(scopes))

    return [notes(Phase.AUTHENTICATE, "keys", [], on_request=identify)]


def post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def test_a_key_with_the_scope_asks_the_supervisor(
    open_up: OpenDoor, supervisor: Supervisor
) -> None:
    """The query or the body are the arguments; a list comes as OpenAI's lists do."""
    door = await open_up(middleware=keyed("admin"), routes=admin_routes(supervisor.ask))
    _, _, told = await door.get("/v1/admin/homes?model=parrot")
    assert told == {"object": "list", "data": [1]}
    status, _, body = await door.ask(post("/v1/admin/models/start", b'{"name": "big/0"}'))
    assert (status, json.loads(body)) == (200, {"done": True})
    assert supervisor.asked == [
        ("homes", {"model": "parrot"}, "key k_1"),
        ("start", {"name": "big/0"}, "key k_1"),
    ]


async def test_what_the_supervisor_refuses_is_an_answer(
    open_up: OpenDoor, supervisor: Supervisor
) -> None:
    """With its own status."""
    door = await open_up(middleware=keyed("admin"), routes=admin_routes(supervisor.ask))
    status, _, body = await door.ask(post("/v1/admin/models/start", b'{"name": "dodo"}'))
    assert (status, json.loads(body)["error"]["message"]) == (404, "It is extinct.")


@pytest.mark.parametrize("middleware", [[], keyed("inference")])
async def test_nobody_else_may(
    open_up: OpenDoor, supervisor: Supervisor, middleware: list[Any]
) -> None:
    """Neither a key without the scope, nor anybody at a door without keys."""
    door = await open_up(middleware=middleware, routes=admin_routes(supervisor.ask))
    status, _, told = await door.get("/v1/admin/homes")
    assert (status, told["error"]["code"]) == (403, "scope_missing")
    status, _, _ = await door.ask(post("/v1/admin/models/start", b"{}"))
    assert status == 403
    assert supervisor.asked == []


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", "invalid_json"), (b"[]", "invalid_type"), (b"[" * 9999, "invalid_json")],
)
async def test_a_body_that_is_no_object_is_refused(
    open_up: OpenDoor, supervisor: Supervisor, body: bytes, code: str
) -> None:
    """Before the supervisor hears of it."""
    door = await open_up(middleware=keyed("admin"), routes=admin_routes(supervisor.ask))
    status, _, told = await door.ask(post("/v1/admin/models/start", body))
    assert (status, json.loads(told)["error"]["code"]) == (400, code)
    assert supervisor.asked == []
