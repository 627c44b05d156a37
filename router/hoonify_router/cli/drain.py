"""``hoonify-router drain``: take homes out of service without cutting anything."""

from __future__ import annotations

import argparse

from hoonify_router.cli import orders
from hoonify_router.cli.parser import BuiltIn, Installed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which."""
    orders.add_names(parser, "+")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Give the order to the running router."""
    return orders.give(arguments, "drain")


COMMAND = BuiltIn(
    "drain",
    "Take a model or a home out of service, and wait until it is idle.",
    add_arguments,
    run,
    description=(
        "Give a model, or one of its homes, no new request, and wait until those under way have ended. It stays loaded,"
        " and out of service, whoever asks, until `models start`; `models stop` ends its engine, too."
    ),
)
