"""``hoonify-router reload``: take over the changed configuration."""

from __future__ import annotations

import argparse

import msgspec

from hoonify_router.cli.output import complain, show_json
from hoonify_router.cli.parser import BuiltIn, Installed
from hoonify_router.cli.running import find_router
from hoonify_router.supervisor.outcomes import Outcome

FAILED = 1
REFUSED = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--json``."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Ask the running router to read its configuration again, and wait for what becomes of it."""
    told = find_router(arguments.config).ask("reload", patience=None)
    if arguments.json:
        show_json(told)
    return report(msgspec.convert(told, Outcome), quiet=arguments.json)


def report(outcome: Outcome, *, quiet: bool = False) -> int:
    """Tell what a reload came to and return the exit status: 0, 1 for a home that failed, 2 for a mistake.

    Args:
        outcome: It.
        quiet: Whether everything has been told already.
    """
    if not quiet:
        complain(*outcome.problems)
        print(outcome.headline)
        for change in outcome.changes:
            print(f"  {change}")
    if not outcome.problems:
        return 0
    return REFUSED if outcome.result == "refused" else FAILED


COMMAND = BuiltIn(
    "reload",
    "Take over the changed configuration file, while the router serves.",
    add_arguments,
    run,
    description=(
        "Let the router that runs on this configuration read it again, and wait until the change serves. Whatever is"
        " wrong, what serves now serves on; the exit status is 2 for a mistake in the file, 1 for a home that fails."
    ),
)
