"""``hoonify-router check``: is the configuration good?"""

from __future__ import annotations

import argparse

from hoonify_router.cli.availability import reports_of
from hoonify_router.cli.parser import BuiltIn, Installed
from hoonify_router.cli.preparation import prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There is nothing but ``--config``."""


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Print one line when all is well; every problem is a line of its own otherwise."""
    loaded = prepare(arguments.config, installed.plugins)
    config = loaded.config
    reports = reports_of(loaded, installed.plugins)
    line = f"{loaded.name}: fine; {_count(len(config.models), 'model')}"
    if missing := len({report.model for report in reports if report.state != "available"}):
        line += f", {missing} of them cannot run here (`hoonify-router models` says why)"
    line += f"; pipeline: {', '.join(config.pipeline) or 'empty'}"
    print(line)
    return 0


COMMAND = BuiltIn(
    "check",
    "Check the configuration and start nothing.",
    add_arguments,
    run,
    description=(
        "Check the configuration and start nothing. Each problem is one line on standard error,"
        " `file:line: path: what`, and the exit status is 2."
    ),
)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
