"""``hoonify-router status``: how the running router does."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import msgspec

from hoonify_router.cli import status_view
from hoonify_router.cli.output import show_json
from hoonify_router.cli.parser import BuiltIn, Installed
from hoonify_router.cli.running import NoRouter, find_router
from hoonify_router.errors import RouterError
from hoonify_router.types.status import Snapshot

INTERVAL = 1.0
_PATIENCE = 15.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--watch`` and ``--json``."""
    parser.add_argument("--watch", action="store_true", help="go on showing it until Ctrl-C")
    parser.add_argument(
        "--json",
        action="store_true",
        help="as JSON, in a shape that stays; with --watch one line each time",
    )
    parser.add_argument(
        "--interval",
        type=_seconds,
        default=INTERVAL,
        metavar="SECONDS",
        help="how often --watch looks; default: 1",
    )


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Ask the router that runs on this configuration."""
    if arguments.watch:
        try:
            _watch(arguments)
        except KeyboardInterrupt:
            return 0
    told = _ask(arguments.config)
    if arguments.json:
        show_json(told)
    else:
        _show(_read(told))
    return 0


COMMAND = BuiltIn(
    "status",
    "Show how the running router does: homes, load, speed, errors.",
    add_arguments,
    run,
    description=(
        "Show how the router that runs on this configuration does: its models and homes, what is in flight, time to"
        " first token and between tokens, tokens per second, GPU memory and the last errors; all of the last minute."
    ),
)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("expected seconds, from 0.1 to 3600")
    return seconds


def _ask(config: str | None) -> Any:
    return find_router(config).ask("status", patience=_PATIENCE)


def _read(told: Any) -> Snapshot:
    return msgspec.convert(told, Snapshot)


def _show(status: Snapshot) -> None:
    if sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(status_view.render(status))
    else:
        print(status_view.plain(status))


def _watch(arguments: argparse.Namespace) -> None:
    """Show it again and again; a router that is away for a moment is waited for."""
    _ask(arguments.config)  # that there is one at all
    if not arguments.json and sys.stdout.isatty():
        _watch_live(arguments)
        return
    while True:
        try:
            told = _ask(arguments.config)
            line = msgspec.json.encode(told).decode()
            print(line if arguments.json else f"{status_view.plain(_read(told))}\n", flush=True)
        except (NoRouter, RouterError) as error:
            print(error, file=sys.stderr, flush=True)
        time.sleep(arguments.interval)


def _watch_live(arguments: argparse.Namespace) -> None:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    shown = Group()
    with Live(shown, console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        while True:
            try:
                shown = status_view.render(_read(_ask(arguments.config)))
                live.update(shown, refresh=True)
            except (NoRouter, RouterError) as error:
                live.update(Group(Text(str(error), "bold red"), shown), refresh=True)
            time.sleep(arguments.interval)
