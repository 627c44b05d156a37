"""``hoonify-router check``: is the configuration good?"""

from __future__ import annotations

import argparse

from hoonify_router.cli.availability import AVAILABLE, place_of, reports_of
from hoonify_router.cli.parser import BuiltIn, Installed
from hoonify_router.cli.preparation import prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There is nothing but ``--config``."""


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Print one line when all is well, and one for each home that cannot run here; each problem is a line."""
    loaded = prepare(arguments.config, installed.plugins)
    config = loaded.config
    missing = [
        report for report in reports_of(loaded, installed.plugins) if report.state != AVAILABLE
    ]
    line = f"{loaded.name}: fine; {_count(len(config.models), 'model')}"
    if missing:
        line += f", {len({report.model for report in missing})} of them cannot run here"
    line += f"; pipeline: {', '.join(config.pipeline) or 'empty'}"
    print(line)
    for report in missing:
        path = place_of(loaded, report.model, report.id)
        print(loaded.locate(f"{path}: cannot run here: {' '.join(report.story.split())}"))
    return 0


COMMAND = BuiltIn(
    "check",
    "Check the configuration and start nothing.",
    add_arguments,
    run,
    description=(
        "Check the configuration and start nothing. Each problem is one line on standard error,"
        " `file:line: path: what`, and the exit status is 2. What cannot run on this machine is told"
        " in the same form on standard output, and is no mistake."
    ),
)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
