"""One gateway process: everything a request meets, put together once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from sanic.models.server_types import ConnInfo
from sanic.request import Request

from hoonify_router.adapters.base import Adapter
from hoonify_router.api import (
    Balancer,
    HomeVitals,
    Measurement,
    Middleware,
    Phase,
    RequestContext,
    Vitals,
)
from hoonify_router.catalog import Catalog
from hoonify_router.config.model import Config
from hoonify_router.errors import PluginError
from hoonify_router.identity import Names
from hoonify_router.loader import explain
from hoonify_router.logs import AccessLog
from hoonify_router.pipeline import Pipeline
from hoonify_router.pulse import Pulse
from hoonify_router.serving import GENERATION, Serving
from hoonify_router.shadow import Mirror
from hoonify_router.shaping import Shaper
from hoonify_router.stopwatch import read
from hoonify_router.types import Health, HomeView, RoutingTable
from hoonify_router.types.status import HomeTally

log = logging.getLogger(__name__)

OnConfig = Callable[[Config], Mapping[str, Balancer]]
Measure = Callable[[Mapping[str, Middleware]], Iterable[Measurement]]


class Gateway:
    """What the routes of one process share.

    Args:
        config: The checked configuration.
        middleware: What stands on every request's way, sorted by phase.
        adapters: Speak to homes, by kind.
        catalog: Knows models and homes.
        shaper: Makes error bodies.

    Attributes:
        measure: Asks plugins for what they measure of themselves, given the middleware by name.
        mirror: Sends copies of requests to candidate homes.
        on_config: Tells plugins of a new configuration, and returns the balancers that it asks for.
    """

    def __init__(
        self,
        config: Config,
        middleware: Sequence[Middleware],
        adapters: Mapping[str, Adapter],
        catalog: Catalog,
        shaper: Shaper | None = None,
    ) -> None:
        self.config = config
        self.catalog = catalog
        self.shaper = shaper or Shaper()
        self.names = Names()
        self.access = AccessLog()
        self._middleware = middleware
        self._adapters = adapters
        self._pulse = Pulse(config.server.ping_interval)
        self._started: list[Middleware] = []
        self.measure: Measure = _measure_nothing
        self.on_config: OnConfig = _change_nothing
        catalog.load_of = self._load_of
        transforms = any(one.phase is Phase.TRANSFORM for one in middleware)
        self.mirror = Mirror(catalog, adapters, self.names)
        serving = Serving(
            catalog, adapters, self.names, self._pulse, transforms, mirror=self.mirror
        )
        self.pipeline = Pipeline(
            middleware,
            catalog,
            serving,
            self.shaper,
            self.access,
            containment=config.containment,
        )

    def context(self, request: Request, body: bytes = b"") -> RequestContext:
        """Return a new request's context, as Sanic has read it."""
        return self.new_context(
            request.method, request.path, request.headers, request.conn_info, body
        )

    def new_context(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        connection: ConnInfo | None,
        body: bytes,
    ) -> RequestContext:
        """Return a new request's context; its id is on every answer, errors included."""
        request_id = self.names.request_id(headers.get("x-request-id"))
        ctx = RequestContext(
            request_id=request_id,
            method=method,
            path=path,
            headers=headers,
            remote=connection.client_ip if connection is not None else "",
            started=time.perf_counter(),
            body=body,
        )
        ctx.response_headers["x-request-id"] = request_id
        ctx.response_headers[GENERATION] = self.catalog.stamp
        return ctx

    def adopt(self, generation: int, config: Config) -> None:
        """Take over a new generation's configuration; its table is taken over next, before any request goes on."""
        self.config = config
        self._pulse.interval = config.server.ping_interval
        self.catalog.adopt(config, self.on_config(config))

    def on_table(self, table: RoutingTable) -> None:
        """Take over what the supervisor says of the homes."""
        self.catalog.update(table)
        for adapter in self._adapters.values():
            adapter.update(table.homes)

    def vitals(self) -> Vitals:
        """Return how this process does."""
        places = [place for model in self.catalog.models() for place in model.places.values()]
        return Vitals(
            tuple(
                HomeVitals(
                    one.home,
                    one.in_flight,
                    one.breaker.state,
                    self._load_of(one.home),
                    one.support.parameters,
                    one.support.tasks,
                )
                for one in places
            ),
            tuple(read(self.pipeline.watches)),
            tuple(self.measure(self.middleware())),
            self.pipeline.cut_streams,
            self.catalog.generation,
            self.catalog.reloads,
        )

    def uses(self) -> dict[str, tuple[int, int]]:
        """Return the requests that each home has now, and has ever had, from this process."""
        return {
            place.home.key: (place.in_flight, place.served)
            for model in self.catalog.models()
            for place in model.places.values()
        }

    def middleware(self) -> dict[str, Middleware]:
        """Return what stands on every request's way, by name."""
        return {one.name: one for one in self._middleware}

    def tallies(self) -> dict[str, HomeTally]:
        """Return what happened at each home in the last minute, by its id."""
        told = {}
        for model in self.catalog.models():
            for place in model.places.values():
                tally = told[place.home.id] = place.tally.read(place.in_flight)
                tally.breaker = place.breaker.state
        return told

    def _load_of(self, home: HomeView) -> Health | None:
        return self._adapters[home.kind].load(home)

    # ------------------------------------------------------------ its life

    async def start(self) -> None:
        """Open what the middleware needs; the door stays shut if one of them fails.

        Raises:
            PluginError: It did.
        """
        for one in self._middleware:
            try:
                await one.startup()
            except Exception as error:
                why = f"middleware {one.name!r} cannot start: {explain(error)}"
                raise PluginError(why) from error
            self._started.append(one)

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109
        """Let what is under way end, for ``timeout`` seconds at most."""
        if not await self.pipeline.drain(timeout):
            log.warning("some requests did not end in time and are cut")

    def hurry(self) -> None:
        """Let ``drain`` wait no longer: what is under way ends with an error."""
        self.pipeline.hurry()

    async def stop(self) -> None:
        """Close everything, in reverse order; what fails is logged."""
        self._pulse.close()
        await self.mirror.close()
        for adapter in self._adapters.values():
            with contextlib.suppress(asyncio.CancelledError):
                await adapter.close()
        while self._started:
            one = self._started.pop()
            try:
                await one.shutdown()
            except Exception:
                log.exception("middleware %r failed to shut down", one.name)
        self.access.flush()


def _change_nothing(config: Config) -> Mapping[str, Balancer]:
    return {}


def _measure_nothing(pipeline: Mapping[str, Middleware]) -> Iterable[Measurement]:
    return ()
