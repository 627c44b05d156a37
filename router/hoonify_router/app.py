"""From a checked configuration to running processes: the main one, and the supervisor."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Sequence
from functools import partial
from multiprocessing import active_children
from typing import Any

import msgspec
from sanic import Sanic
from sanic.worker.loader import AppLoader

from hoonify_router import runfile
from hoonify_router.config.model import LoadedConfig
from hoonify_router.connection import ClientProtocol
from hoonify_router.door import BACKLOG, base_url, is_public, open_doors, runtime_dir
from hoonify_router.gateway_process import SOCKET_NAME, Launch, gateway_app, refuse
from hoonify_router.loader import names_in
from hoonify_router.logs import configure_logging, warn_of_prompts
from hoonify_router.orphans import clean_up_in_background
from hoonify_router.processes import ProcessWatch, signals_held_back
from hoonify_router.supervisor import run_supervisor

log = logging.getLogger(__name__)


def serve(
    loaded: LoadedConfig,
    *,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
) -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit status.

    Args:
        loaded: The checked configuration.
        host: Overrides its ``server: host:``.
        port: Overrides its ``server: port:``; 0 takes a free one.
        workers: Overrides its ``server: workers:``.
    """
    configure_logging()
    warn_of_prompts()
    config = loaded.config
    server = msgspec.structs.replace(
        config.server,
        host=config.server.host if host is None else host,
        port=config.server.port if port is None else port,
        workers=config.server.workers if workers is None else workers,
    )
    try:
        doors = open_doors(server.host, server.port, server.workers)
    except OSError as error:
        why = error.strerror or str(error)
        return refuse(f"cannot listen on {server.host}:{server.port}: {why}")
    server = msgspec.structs.replace(server, port=doors[0].getsockname()[1])
    loaded = msgspec.structs.replace(loaded, config=msgspec.structs.replace(config, server=server))
    with signals_held_back(), contextlib.ExitStack() as open_ones, runtime_dir() as folder:
        for door in doors:
            open_ones.enter_context(door)
        address = base_url(server.host, server.port)
        launch = Launch(loaded, address, folder, public=is_public(doors[0]))
        if (other := runfile.find(loaded)) is not None:
            told = "process %d seems to serve this configuration already, at %s"
            log.warning(told, other.pid, other.address)
        try:
            runfile.announce(loaded, address=launch.address, supervisor=folder / SOCKET_NAME)
        except OSError as error:
            why = error.strerror or str(error)
            return refuse(f"the state folder {loaded.state_dir} cannot be written: {why}")
        try:
            return _run_processes(launch, doors)
        finally:
            runfile.withdraw(loaded)


# ---------------------------------------------------------------- the main process


def _run_processes(launch: Launch, doors: Sequence[socket.socket]) -> int:
    """Let Sanic start gateways and supervisor, and watch them until the end."""
    app: Sanic[Any, Any] = Sanic(launch.name, configure_logging=False, env_prefix="HOONIFY_SANIC_")
    watches: list[ProcessWatch] = []

    async def take_over(app: Sanic[Any, Any]) -> None:
        launch.helpers = [child.pid for child in active_children() if child.pid is not None]
        gateways = [one for worker in app.manager.workers for one in worker.processes]
        for process, door in zip(gateways, doors, strict=True):
            # Gateways hear a stop their own way.
            process.kwargs.update(register_sys_signals=False, sock=door)
            for server in process.kwargs["server_info"][app.name]:
                # The first door again: who comes to it would wait there for as long as another gateway lives.
                server.settings.pop("sock", None)
            process.spawn()  # type: ignore[no-untyped-call]  # again: it was made of a copy
        app.manager.manage("supervisor", _supervise, {"launch": launch}, restartable=True)
        watch = ProcessWatch(app.manager, launch.patience + 5, launch.runtime_dir)
        app.manager.run = watch.run  # type: ignore[method-assign]
        watches.append(watch)

    os.environ["SANIC_IGNORE_PRODUCTION_WARNING"] = "1"  # its advice is not for our users
    app.main_process_ready(take_over)
    app.prepare(
        sock=doors[0],
        workers=launch.loaded.config.server.workers,
        protocol=ClientProtocol,
        access_log=False,
        motd=False,
        backlog=BACKLOG,
    )
    Sanic.serve(primary=app, app_loader=AppLoader(factory=partial(gateway_app, launch)))
    return watches[0].status if watches else 1


# ---------------------------------------------------------------- the supervisor process


def _supervise(launch: Launch) -> None:
    """Be the supervisor: the body of Sanic's managed process."""
    clean_up_in_background(launch.helpers, launch.runtime_dir)
    run_supervisor(
        launch.loaded,
        launch.runtime_dir,
        address=launch.address,
        plugins_required=names_in(launch.loaded.config),
    )
