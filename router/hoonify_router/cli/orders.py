"""Orders that an operator gives to homes of the running router, and what has become of each."""

from __future__ import annotations

import argparse
from typing import Any

from hoonify_router.cli.output import complain, show_json, show_table
from hoonify_router.cli.running import find_router
from hoonify_router.config.times import parse_duration

ACTIONS = ("start", "stop", "restart")
NOT_YET = 1


def add_names(parser: argparse.ArgumentParser, count: str) -> None:
    """Declare the homes that are meant, and how long to wait for them."""
    parser.add_argument(
        "names",
        nargs=count,
        metavar="MODEL|HOME",
        help="a model, which means all its homes, or one home, such as big/0",
    )
    parser.add_argument(
        "--timeout",
        type=_duration,
        metavar="DURATION",
        help="wait no longer than this, such as 90s or 10m, and exit with 1; what has begun goes on",
    )


def give(arguments: argparse.Namespace, command: str) -> int:
    """Give the order for each name, and show what has come of it; 1 where something has not come about."""
    router = find_router(arguments.config)
    outcomes: list[dict[str, Any]] = []
    for name in arguments.names:
        given = {"name": name, "timeout": arguments.timeout}
        outcomes += router.ask(command, given, patience=None)
    if arguments.json:
        show_json(outcomes)
    else:
        show_table(("home", "state", "told"), [_row(each) for each in outcomes])
    undone = [each["home"] for each in outcomes if not each["done"]]
    if undone:
        complain(f"not done yet: {', '.join(undone)}")
        return NOT_YET
    return 0


def _row(outcome: dict[str, Any]) -> tuple[str, str, str]:
    told = outcome["told"]
    if left := outcome["in_flight"]:
        told = f"{left} request{'s' if left > 1 else ''} under way. {told}".strip()
    return outcome["home"], outcome["state"], told


def _duration(text: str) -> float:
    seconds = parse_duration(text)
    if seconds is None:
        raise argparse.ArgumentTypeError("expected a duration, such as 90s or 10m")
    return seconds
