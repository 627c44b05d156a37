"""The pages on doors of their own, and browsers that have signed in there."""

from __future__ import annotations

import itertools
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sanic import Sanic

from hoonify_plugins.api_keys.record import new_key
from hoonify_plugins.pages import hoonify_register_routes
from hoonify_router.api import HomeVitals, Middleware, ModelConfig, PluginContext, Vitals
from hoonify_router.config.model import Config, LoadedConfig

from .doors import MODELS, Browser, OpenPages, elsewhere
from .signed_in import Place, SignIn, knock, open_up

_NUMBERS = itertools.count(1)


@pytest.fixture
async def open_pages(tmp_path: Path) -> AsyncIterator[OpenPages]:
    """Open a door with the pages: ``await open_pages(home(...), models=..., pipeline=..., ...)``."""
    opened: list[Any] = []

    async def open_up(
        *homes: HomeVitals,
        models: Mapping[str, ModelConfig] = MODELS,
        pipeline: tuple[str, ...] = ("pages",),
        plugins: dict[str, dict[str, Any]] | None = None,
        middleware: Mapping[str, Middleware] | None = None,
        vitals: Callable[[], Vitals] | None = None,
        **more: Any,
    ) -> Browser:
        config = Config(dict(models), pipeline=list(pipeline), plugins=plugins or {})
        loaded = LoadedConfig(tmp_path / "router.yaml", config, tmp_path / "state")
        loaded.state_dir.mkdir(exist_ok=True)
        context = PluginContext(
            loaded,
            logging.getLogger("hoonify_router.plugins"),
            runtime_dir=tmp_path,
            vitals=vitals or (lambda: Vitals(homes, generation=1)),
            middleware=lambda: middleware or {},
            **more,
        )
        app: Sanic[Any, Any] = Sanic(f"pages-{next(_NUMBERS)}", configure_logging=False)
        app.config.TOUCHUP = False  # it rewrites Sanic itself, once per process
        app.add_route(elsewhere, "/elsewhere")
        for number, route in enumerate(hoonify_register_routes(context)):
            app.add_route(route.handler, route.path, methods=route.methods, name=f"p{number}")
        door = socket.create_server(("127.0.0.1", 0))
        server: Any = await app.create_server(sock=door, return_asyncio_server=True)
        await server.startup()
        await server.start_serving()
        opened.append((app, server))
        return Browser(door.getsockname()[1])

    yield open_up
    for _, server in opened:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A router's database and middleware."""
    place = Place(tmp_path)
    await place.api_keys.startup()
    await place.limits.startup()
    yield place
    await place.api_keys.shutdown()
    await place.limits.shutdown()
    place.keys.close()
    place.usage.close()


@pytest.fixture
def sign_in(place: Place, open_pages: OpenPages) -> SignIn:
    """Make a key and sign a browser in with it: ``await sign_in("name", owner=..., scopes=...)``."""

    async def enter(name: str = "ada's laptop", plan: str = "free", **fields: Any) -> Any:
        record, key = new_key(name, plan, **fields)
        place.keys.add(record)
        browser = await open_up(place, open_pages)
        assert (await knock(browser, key)).headers["location"] == "/dashboard"
        return browser, key, record

    return enter
