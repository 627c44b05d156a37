"""A real gateway in this process, whose only model is the home under test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

from sanic import Sanic

from hoonify_router.adapters.engine import WorkerAdapter
from hoonify_router.adapters.server import ServerAdapter
from hoonify_router.api import ServerBackend
from hoonify_router.catalog import Catalog
from hoonify_router.config import Config, ModelConfig, ServerConfig
from hoonify_router.config.model import Breaker
from hoonify_router.config.times import Duration
from hoonify_router.connection import ClientProtocol
from hoonify_router.door import open_door
from hoonify_router.gateway import Gateway
from hoonify_router.gateway_process import create_app
from hoonify_router.supervisor.plan import HomePlan
from hoonify_router.testing.client import Answer, Stream, open_stream, post
from hoonify_router.testing.subject import CONTEXT
from hoonify_router.types import HomeView, RoutingTable

_NEVER = 1_000_000
_DRAIN = 5.0


class Door:
    """The HTTP door before one home; open it with ``open``, close it with ``close``.

    Args:
        plan: The home.
    """

    def __init__(self, plan: HomePlan) -> None:
        self._plan = plan
        model = ModelConfig(
            "Conformance",
            CONTEXT,
            modalities=["text", "image"],  # as far as the home takes them
            homes=[plan.home],
            attempts=1,
            breaker=Breaker(failures=_NEVER),
        )
        server = ServerConfig(ping_interval=Duration(0), allow_anonymous=True)
        config = Config({plan.model: model}, server=server)
        backend = plan.backend
        parameters, tasks, servers = {}, {}, {}
        if isinstance(backend, ServerBackend):
            servers[backend.name] = backend
            parameters[backend.name] = backend.parameters
            tasks[backend.name] = backend.tasks
        catalog = Catalog(config, parameters, tasks=tasks, balancers={})
        adapters = {"worker": WorkerAdapter(), "server": ServerAdapter(backends=servers)}
        self._gateway = Gateway(config, [], adapters, catalog)
        self._generations = itertools.count(1)
        self._app: Sanic[Any, Any] | None = None
        self._server: Any = None
        self.port = 0

    async def open(self) -> None:
        """Listen on a free port of this machine."""
        before, Sanic.test_mode = Sanic.test_mode, True  # lets one process start several apps
        try:
            self._app = create_app(self._gateway, f"conformance_{id(self):x}")
            door = open_door("127.0.0.1", 0)
            self.port = int(door.getsockname()[1])
            self._server = await self._app.create_server(
                sock=door, protocol=ClientProtocol, return_asyncio_server=True
            )
            await self._server.startup()
            await self._server.before_start()
            await self._server.start_serving()
        finally:
            Sanic.test_mode = before

    def show(self, view: HomeView) -> None:
        """Publish the home as it is now."""
        self._gateway.on_table(RoutingTable(next(self._generations), (view,)))

    @property
    def in_flight(self) -> int:
        """Return how many requests are at the home, as the gateway counts."""
        return sum(home.in_flight for home in self._gateway.vitals().homes)

    @property
    def cut_streams(self) -> int:
        """Return how many streams ended in neither of the two ways."""
        return self._gateway.vitals().cut_streams

    async def ask(self, body: Mapping[str, Any] | bytes, path: str) -> Answer:
        """Send a request and read its answer to the end."""
        return await post(self.port, body, path)

    async def stream(self, body: Mapping[str, Any], path: str) -> Stream:
        """Send a request and return its answer as soon as it has a head."""
        return await open_stream(self.port, body, path)

    async def close(self) -> None:
        """Close the door and everything behind it."""
        server, self._server = self._server, None
        if server is not None:
            await self._gateway.drain(_DRAIN)
            await server.close()
            for connection in list(server.connections):
                connection.abort()
            while server.connections:  # noqa: ASYNC110 - closed by callbacks
                await asyncio.sleep(0.001)
            await self._gateway.stop()
        if self._app is not None:
            Sanic.unregister_app(self._app)
