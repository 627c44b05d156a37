"""``hoonify-router serve``: open the door."""

from __future__ import annotations

import argparse

from hoonify_router.cli.parser import BuiltIn, Installed
from hoonify_router.cli.preparation import prepare
from hoonify_router.loader import plugin_context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what may override the file."""
    parser.add_argument("--host", help="address to listen on; overrides `server: host:`")
    parser.add_argument("--port", type=_port, help="TCP port; overrides `server: port:`")
    parser.add_argument(
        "--workers", type=_workers, help="gateway processes; overrides `server: workers:`"
    )


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Check everything, then serve until told to stop."""
    loaded = prepare(arguments.config, installed.plugins)
    plugin_context(loaded)  # refuses a state folder that is of no use
    from hoonify_router.app import serve  # the web server is of no use to the other commands

    return serve(loaded, host=arguments.host, port=arguments.port, workers=arguments.workers)


COMMAND = BuiltIn(
    "serve",
    "Serve the configured models until Ctrl-C.",
    add_arguments,
    run,
    description="Check the configuration, start the engines and serve until Ctrl-C or SIGTERM.",
)


def _port(text: str) -> int:
    return _number(text, 0, 65535)


def _workers(text: str) -> int:
    return _number(text, 1, 256)


def _number(text: str, least: int, most: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"expected a number from {least} to {most}, not {text!r}")
    return number
