"""The supervisor as a process: its plugins, its signals, and its end when the main process dies."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from hoonify_router.api import PluginContext
from hoonify_router.config import LoadedConfig
from hoonify_router.errors import PluginError
from hoonify_router.loader import Plugins, explain, load_plugins, names_in, plugin_context
from hoonify_router.supervisor import RELOAD_SIGNAL
from hoonify_router.supervisor.console import console_for
from hoonify_router.supervisor.lifecycle import Limits
from hoonify_router.supervisor.supervisor import Supervisor

log = logging.getLogger(__name__)

EXIT_REFUSED = 2
_PARENT_INTERVAL = 0.5
_LAST_MOMENT = 0.2  # for what other threads of this process do when the parent dies


def supervise(
    loaded: LoadedConfig,
    runtime_dir: Path,
    address: str,
    plugins_required: Collection[str],
    limits: Limits,
) -> None:
    """Run the supervisor until it is told to stop; see ``run_supervisor``."""
    signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGTERM, RELOAD_SIGNAL}
    )  # plugins that have started must end
    try:
        plugins = load_plugins(names_required=plugins_required)
        context = plugin_context(loaded, runtime_dir)
        _start_plugins(plugins, context)
    except (PluginError, OSError) as exc:
        print(f"hoonify-router: {exc}", file=sys.stderr, flush=True)
        raise SystemExit(EXIT_REFUSED) from None
    except KeyboardInterrupt:
        return  # nothing has been started yet
    try:
        with asyncio.Runner() as runner:
            runner.run(_run(context, plugins, runtime_dir, address, limits))
    except OSError as exc:
        print(f"hoonify-router: {exc}", file=sys.stderr, flush=True)
        raise SystemExit(EXIT_REFUSED) from None
    except KeyboardInterrupt:
        pass  # in the instant before the loop had its own handlers; the death pipes do the rest
    finally:
        plugins.notify("hoonify_shutdown", context=context)


def _start_plugins(plugins: Plugins, context: PluginContext) -> None:
    """Let plugins start up; one that the configuration names must succeed.

    Raises:
        PluginError: It did not.
    """
    named = names_in(context.loaded.config)
    for outcome in plugins.call("hoonify_startup", context=context):
        if outcome.error is None:
            continue
        plugin = outcome.plugin
        told = f"plugin {plugin.name!r} ({plugin.distribution}): cannot start: {explain(outcome.error)}"
        if plugin.is_named(named):
            raise PluginError(told) from outcome.error
        log.warning("%s", told, exc_info=outcome.error)


async def _run(
    context: PluginContext, plugins: Plugins, runtime_dir: Path, address: str, limits: Limits
) -> None:
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(
        context,
        plugins,
        runtime_dir=runtime_dir,
        address=address,
        console=console_for(),
        limits=limits,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(RELOAD_SIGNAL, supervisor.reload, "signal")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, RELOAD_SIGNAL})

    def orphaned() -> None:
        supervisor.kill()
        supervisor.remove_remains()
        loop.call_later(_LAST_MOMENT, os._exit, 1)

    watch_parent(orphaned)
    await supervisor.run()


def watch_parent(orphaned: Callable[[], None]) -> None:
    """Call ``orphaned`` when the process that started this one through multiprocessing is gone.

    Its sentinel tells at once; asking for the parent's id as well covers forked siblings, which keep
    the sentinel's other end open.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()
    first = os.getppid()

    def gone() -> None:
        loop.remove_reader(parent.sentinel)
        orphaned()

    def look() -> None:
        if os.getppid() != first:
            gone()
        else:
            loop.call_later(_PARENT_INTERVAL, look)

    loop.add_reader(parent.sentinel, gone)
    look()
