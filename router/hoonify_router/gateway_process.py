"""A gateway process: the only file that wires the door to everything behind it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from sanic import Sanic

from hoonify_router import open_files, runfile
from hoonify_router.adapters.engine import WorkerAdapter
from hoonify_router.adapters.server import ServerAdapter
from hoonify_router.api import (
    APIRoute,
    Balancer,
    Middleware,
    Phase,
    PluginContext,
    Route,
    ServerBackend,
    Vitals,
)
from hoonify_router.catalog import Catalog
from hoonify_router.config.model import Config, LoadedConfig
from hoonify_router.errors import PluginError
from hoonify_router.gateway import Gateway
from hoonify_router.loader import (
    Measurements,
    Plugins,
    build_balancers,
    build_pipeline,
    collect_routes,
    load_plugins,
    names_in,
    plugin_context,
    reload_pipeline,
)
from hoonify_router.logs import configure_logging
from hoonify_router.orphans import (
    clean_up_after_parent,
    when_parent_dies,
)
from hoonify_router.processes import (
    CANNOT_START,
    hear_one_stop,
)
from hoonify_router.routes import add_routes, admin_routes
from hoonify_router.shaping import Shaper
from hoonify_router.supervisor.client import SupervisorClient
from hoonify_router.supervisor.commands import Asker, Commands, NoArguments
from hoonify_router.types.comparison import ShadowTally
from hoonify_router.types.status import HomeTally

log = logging.getLogger(__name__)

SOCKET_NAME = "supervisor.sock"

_COLLECT_AFTER = 50_000  # objects more than are freed
_LAST_WORDS = 2.0
_FOREVER = 10 * 365 * 86400


@dataclass
class Launch:
    """What every process of one ``serve`` must know; sent to each when it is started.

    Args:
        loaded: The configuration, with the address as it really is.
        address: Base URL of the door.
        runtime_dir: Folder for sockets, ours alone.
        helpers: Processes that Sanic has started beside the main one.
        public: Whether other machines reach the door.
    """

    loaded: LoadedConfig
    address: str
    runtime_dir: Path
    helpers: list[int] = field(default_factory=list)
    public: bool = False

    @property
    def name(self) -> str:
        """Return the Sanic app's name, the same in all processes of one router."""
        return f"hoonify-router-{self.runtime_dir.name}"

    @property
    def patience(self) -> float:
        """Return how long requests under way may take to end when the router stops."""
        return self.loaded.config.stop_patience


def create_app(
    gateway: Gateway, name: str, routes: Sequence[Route | APIRoute] = ()
) -> Sanic[Any, Any]:
    """Return the HTTP door of one gateway; who starts and stops the gateway is not its business.

    Args:
        gateway: What the routes need.
        name: Unique in this process.
        routes: Extra routes.
    """
    app: Sanic[Any, Any] = Sanic(name, configure_logging=False, env_prefix="HOONIFY_SANIC_")
    app.config.update(
        ACCESS_LOG=False,
        MOTD=False,
        AUTO_EXTEND=False,
        REQUEST_MAX_SIZE=gateway.config.server.max_body_bytes,
        RESPONSE_TIMEOUT=_FOREVER,  # answers have clocks of their own
        GRACEFUL_SHUTDOWN_TIMEOUT=1.0,  # what was under way has been waited for
    )
    app.ctx.gateway = gateway
    add_routes(app, routes)
    return app


def gateway_app(launch: Launch) -> Sanic[Any, Any]:
    """Build the door of one gateway process, with everything behind it."""
    configure_logging()
    loaded = launch.loaded

    in_force = InForce(loaded)

    def vitals() -> Vitals:
        return gateway.vitals()

    def standing() -> Mapping[str, Middleware]:
        return gateway.middleware()

    try:
        plugins = load_plugins(names_required=names_in(loaded.config))
        context = dataclasses.replace(
            plugin_context(loaded, launch.runtime_dir),
            vitals=vitals,
            middleware=standing,
            latest=in_force.read,
            ask=lambda command, arguments, who: client.ask(command, arguments, who=who),
        )
        middleware = build_pipeline(plugins, loaded, context)
        balancers = build_balancers(plugins, loaded)
        routes, failures = collect_routes(plugins, context)
    except PluginError as error:
        raise _cannot_start(str(error)) from error
    _warn(launch, failures, middleware, open_files.raise_limit())
    servers = {
        name: backend
        for name, backend in plugins.backends.items()
        if isinstance(backend, ServerBackend)
    }
    parameters = {name: backend.parameters for name, backend in servers.items()}
    tasks = {name: backend.tasks for name, backend in servers.items()}
    catalog = Catalog(loaded.config, parameters, tasks=tasks, balancers=balancers)
    adapters = {"worker": WorkerAdapter(), "server": ServerAdapter(backends=servers)}
    shaper = Shaper(plugins.shape_error)
    gateway = Gateway(loaded.config, middleware, adapters, catalog, shaper)
    gateway.on_config = partial(_adopt, in_force, plugins, middleware, context)
    gateway.measure = Measurements(plugins, context).collect
    client = SupervisorClient(
        launch.runtime_dir / SOCKET_NAME,
        gateway.on_table,
        commands=_commands_of(gateway),
        uses=gateway.uses,
        on_config=gateway.adopt,
    )
    catalog.ensure_ready = client.ensure_ready
    app = create_app(gateway, launch.name, [*routes, *admin_routes(client.ask)])

    async def open_up(app: Sanic[Any, Any]) -> None:
        when_parent_dies(partial(_leave_orphaned, launch, gateway))
        try:
            await gateway.start()
        except PluginError as error:
            log.debug("a middleware cannot start", exc_info=True)
            raise _cannot_start(str(error)) from error
        app.ctx.connecting = app.loop.create_task(_connect(client))
        _spare_the_collector()

    async def hear_stop(app: Sanic[Any, Any]) -> None:
        starting = asyncio.current_task()
        assert starting is not None
        hear = partial(
            hear_one_stop, launch.runtime_dir, partial(app.stop, terminate=False), gateway.hurry
        )
        # Sanic's loop stops when this start ends, and runs for good then: only then can it be stopped.
        starting.add_done_callback(lambda _: app.loop.call_soon(hear))

    async def let_go(app: Sanic[Any, Any]) -> None:
        await gateway.drain(gateway.config.stop_patience)

    async def shut(app: Sanic[Any, Any]) -> None:
        client.close()
        await gateway.stop()

    app.before_server_start(open_up)
    app.after_server_start(hear_stop)
    app.before_server_stop(let_go)
    app.after_server_stop(shut)
    return app


def _commands_of(gateway: Gateway) -> Commands:
    """Return what the supervisor may ask a gateway for."""

    async def tallies(arguments: NoArguments, asker: Asker) -> dict[str, HomeTally]:
        return gateway.tallies()

    async def in_flight(arguments: NoArguments, asker: Asker) -> dict[str, int]:
        return {home: now for home, (now, _) in gateway.uses().items()}

    async def plugins(arguments: NoArguments, asker: Asker) -> list[dict[str, Any]]:
        return [dataclasses.asdict(one) for one in gateway.vitals().middleware]

    async def shadows(arguments: NoArguments, asker: Asker) -> dict[str, ShadowTally]:
        return gateway.mirror.tallies()

    commands = Commands()
    commands.add("shadows", shadows)
    commands.add("plugins", plugins)
    commands.add("tallies", tallies)
    commands.add("in_flight", in_flight)
    return commands


@dataclass
class InForce:
    """The configuration that is in force in this process."""

    loaded: LoadedConfig

    def read(self) -> LoadedConfig:
        """Return it."""
        return self.loaded


def _adopt(
    in_force: InForce,
    plugins: Plugins,
    middleware: Sequence[Middleware],
    context: PluginContext,
    config: Config,
) -> Mapping[str, Balancer]:
    """Take over a new generation's configuration; return the balancers that it asks for."""
    loaded = in_force.loaded = msgspec.structs.replace(in_force.loaded, config=config)
    reload_pipeline(plugins, middleware, loaded, context)
    return build_balancers(plugins, loaded)


def _spare_the_collector() -> None:
    """Keep the garbage collector from what stands for good; its looks at all of it would be stalls for nothing.

    Requests leave no cycles behind, so it may come rarely, too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _warn(
    launch: Launch, failures: Sequence[object], middleware: Sequence[Middleware], files: int
) -> None:
    """Say what an operator should know at a start that goes well all the same."""
    for failure in failures:
        log.warning("%s", failure)
    _warn_of_open_door(launch, middleware)
    _warn_of_few_files(launch, files)


def _warn_of_few_files(launch: Launch, files: int) -> None:
    """Say once how few streams a process can carry where the system allows it only few open files."""
    if files >= open_files.ENOUGH or not runfile.first_time(launch.runtime_dir, "few-files"):
        return
    told = (
        "FEW FILES: a gateway may have %d files open, enough for about %d streams at the same time; raise the hard"
        " limit (systemd: LimitNOFILE=, Docker: --ulimit nofile=, a shell: ulimit -Hn) for more"
    )
    log.warning(told, files, open_files.streams_for(files))


def _warn_of_open_door(launch: Launch, middleware: Sequence[Middleware]) -> None:
    """Say once when whoever reaches the door may use the engines, unless the operator has said that it is meant."""
    server = launch.loaded.config.server
    asks = any(one.phase is Phase.AUTHENTICATE for one in middleware)
    if asks or server.allow_anonymous or not runfile.first_time(launch.runtime_dir, "open-door"):
        return
    whom = "other machines" if launch.public else "whoever is on this machine"
    told = (
        "NO KEYS: %s:%d is open to %s, for nothing in `pipeline:` asks for a key (api_keys would);"
        " if that is meant, say `allow_anonymous: true` under `server:`"
    )
    log.warning(told, server.host, server.port, whom)


async def _connect(client: SupervisorClient) -> None:
    """Connect to the supervisor, which starts at the same time and may take its time."""
    while True:
        with contextlib.suppress(OSError):
            await client.connect()
            return


def _cannot_start(why: str) -> SystemExit:
    return SystemExit(refuse(why))


def refuse(why: str) -> int:
    """Say why this process cannot start; return its exit status."""
    print(f"hoonify-router: {why}", file=sys.stderr, flush=True)
    return CANNOT_START


async def _leave_orphaned(launch: Launch, gateway: Gateway) -> None:
    """The main process was killed: tell clients the truth about their streams, then go."""
    await gateway.drain(_LAST_WORDS)
    clean_up_after_parent(launch.helpers, launch.runtime_dir)
    os._exit(1)
