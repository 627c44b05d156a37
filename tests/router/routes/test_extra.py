"""Routes that plugins bring: plain ones, and those that pass the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sanic.response import text
from tests.router.doubles import notes

from hoonify_router.api import APIRoute, Phase, Principal, RequestContext, Result, Route
from hoonify_router.errors import NotFound

from .conftest import OpenDoor


async def test_plugins_bring_routes_of_their_own(open_up: OpenDoor) -> None:
    """Ordinary Sanic handlers."""

    async def motd(request: Any) -> Any:
        return text("hello")

    door = await open_up(routes=(Route("/motd", motd), Route("/motd2", motd, ("GET", "POST"))))
    status, _, body = await door.ask(b"GET /motd HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (status, body) == (200, b"hello")
    status, _, body = await door.ask(
        b"POST /motd2 HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    )
    assert (status, body) == (200, b"hello")


async def test_a_route_that_cannot_be_had_keeps_no_door_shut(
    open_up: OpenDoor, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the router's own routes nor the other plugins' suffer from it."""

    async def motd(request: Any) -> Any:
        return text("hello")

    routes = [Route(path, motd) for path in ("/v1/models", "/<broken:[>", "/motd", "/motd")]
    door = await open_up(routes=routes)
    assert (await door.get("/v1/models"))[2]["object"] == "list"
    assert (await door.ask(b"GET /motd HTTP/1.1\r\nhost: x\r\n\r\n"))[2] == b"hello"
    for path in ("/v1/models", "/<broken:[>", "/motd"):
        assert f"test_extra: its route {path} cannot be had: " in caplog.text


async def test_a_route_may_pass_the_pipeline(open_up: OpenDoor) -> None:
    """It is told who asks and what for; its answer, its status and its errors are like any other's."""
    seen: list[str] = []

    def authenticate(ctx: Any) -> None:
        ctx.principal = Principal("k", scopes=frozenset({"admin"}))

    async def parrot(ctx: RequestContext, given: Mapping[str, str]) -> Result:
        assert ctx.principal is not None
        if given["name"] == "dodo":
            raise NotFound("It is extinct.")
        return Result({"key": ctx.principal.id, **given, "body": ctx.body.decode()}, 201)

    middleware = [
        notes(Phase.AUTHENTICATE, "auth", seen, on_request=authenticate),
        notes(Phase.ADMIT, "admit", seen),
    ]
    routes = [APIRoute("/v1/birds/<name:str>", parrot, "admin", "POST")]
    door = await open_up(None, middleware, routes=routes)

    def post(path: str) -> bytes:
        return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi".encode()

    status, headers, body = await door.ask(post("/v1/birds/polly?colour=green"))
    assert (status, headers["content-type"]) == (201, "application/json")
    assert body == b'{"key":"k","colour":"green","name":"polly","body":"hi"}'
    assert headers["x-request-id"]
    assert seen == ["auth sees", "admit sees", "admit settles", "auth settles"]
    status, _, body = await door.ask(post("/v1/birds/dodo"))
    assert (status, b"extinct" in body) == (404, True)


async def test_a_route_wants_its_scope(open_up: OpenDoor) -> None:
    """Who lacks it, or is nobody, is refused; without keys only models may be asked."""

    async def secret(ctx: RequestContext, given: Mapping[str, str]) -> Result:
        return Result("told")

    routes = [APIRoute("/v1/secret", secret, "admin"), APIRoute("/v1/open", secret)]
    door = await open_up(routes=routes)
    status, _, told = await door.get("/v1/secret")
    assert (status, told["error"]["code"]) == (403, "scope_missing")
    assert (await door.get("/v1/open"))[2] == "told"
