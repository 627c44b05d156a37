"""``hoonify-router history`` and ``rollback``: what was in force before, and back to it."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import msgspec

from hoonify_router.cli.output import show_json, show_table
from hoonify_router.cli.parser import BuiltIn, Installed, UsageError
from hoonify_router.cli.reload import report
from hoonify_router.cli.running import find_router
from hoonify_router.config import find_config, find_state_dir
from hoonify_router.supervisor.generations import Generation, History
from hoonify_router.supervisor.outcomes import Outcome


def add_history_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the number and ``--json``."""
    parser.add_argument(
        "generation",
        nargs="?",
        type=_number,
        metavar="N",
        help="print the configuration of this generation",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def add_rollback_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the number."""
    parser.add_argument(
        "generation", type=_number, metavar="N", help="the generation to go back to"
    )


def history(arguments: argparse.Namespace, installed: Installed) -> int:
    """Show what was in force, the newest last; no router needs to run."""
    kept = _read(arguments.config)
    if arguments.generation is not None:
        wanted = next((one for one in kept if one.number == arguments.generation), None)
        if wanted is None:
            numbers = ", ".join(str(one.number) for one in kept) or "none"
            raise UsageError(f"generation {arguments.generation} is not kept; there are: {numbers}")
        print(wanted.text, end="" if wanted.text.endswith("\n") else "\n")
        return 0
    if arguments.json:
        show_json([msgspec.to_builtins(one) for one in kept])
        return 0
    rows = [(str(one.number), _when(one.at), one.trigger, "; ".join(one.changes)) for one in kept]
    show_table(("generation", "since", "by", "changes"), rows)
    return 0


def rollback(arguments: argparse.Namespace, installed: Installed) -> int:
    """Give the file the text of an earlier generation, and let it take effect."""
    router = find_router(arguments.config)
    told = router.ask("rollback", {"generation": arguments.generation}, patience=None)
    return report(msgspec.convert(told, Outcome))


HISTORY = BuiltIn(
    "history",
    "Show which configurations were in force: since when, by whom, what changed.",
    add_history_arguments,
    history,
    description=(
        "Show the last generations of this configuration: since when they served, who brought them and what they changed."
        " With a number, print the configuration as it was then."
    ),
)

ROLLBACK = BuiltIn(
    "rollback",
    "Go back to the configuration of an earlier generation.",
    add_rollback_arguments,
    rollback,
    description=(
        "Give the configuration file the text that it had in an earlier generation, and let it take effect like any"
        " other change, as the next generation. What is in force now stays in the history."
    ),
)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"expected the number of a generation, not {text!r}")
    return int(text)


def _read(config: str | None) -> list[Generation]:
    path = find_config(config)
    folder = find_state_dir(path)
    try:
        return History(folder, path.absolute()).all()
    except PermissionError:
        told = f"the state in {folder} belongs to {_owner(folder)}: ask as that user"
        raise UsageError(told) from None


def _owner(folder: Path) -> str:
    try:
        return f"user {folder.owner()}"
    except (KeyError, OSError):  # an id without a name, or a folder that may not even be looked at
        return "another user" if not os.path.exists(folder) else f"user {os.stat(folder).st_uid}"


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
