"""``python -m hoonify_router.worker --socket PATH --engine module:Class --home ID``.

Started by the supervisor, in the interpreter of the engine and in the folder of the configuration;
standard input is the death pipe. Exit status: 0 after a drain, 1 after a failed load, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import functools
import logging
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from hoonify_router.worker import lifeline
from hoonify_router.worker.host import Host
from hoonify_router.worker.listener import listen_privately
from hoonify_router.worker.loading import find_engine

_FLUSH_TIMEOUT = 1.0


def main(argv: list[str] | None = None) -> int:
    """Run one worker to its end and return the exit status."""
    parser = argparse.ArgumentParser(prog="hoonify_router.worker", description=__doc__)
    parser.add_argument("--socket", required=True, type=Path, help="where to listen")
    parser.add_argument("--engine", required=True, help="module:Class of the engine")
    parser.add_argument("--home", required=True, help="id of the home, for messages")
    args = parser.parse_args(argv)
    lifeline.hold()
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        listener = listen_privately(args.socket)
    except OSError as exc:
        parser.error(str(exc))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(listener, args.engine, args.home))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _serve(listener: socket.socket, engine: str, home: str) -> int:
    loop = asyncio.get_running_loop()
    host = Host(functools.partial(find_engine, engine), home)

    def terminate() -> None:
        if not host.loaded:
            lifeline.end_process_group()  # nothing to save, and a load in a thread would hold us up
        host.drain(0.0)

    loop.add_signal_handler(signal.SIGTERM, terminate)
    server = await loop.create_unix_server(host.connect, sock=listener)
    status = await host.wait()
    server.close()
    await host.part_from_all(_FLUSH_TIMEOUT)
    return status


if __name__ == "__main__":
    sys.exit(main())
