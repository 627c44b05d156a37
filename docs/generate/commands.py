"""A section per command."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from hoonify_router.cli.entry import BUILT_IN
from hoonify_router.cli.parser import build_parser
from hoonify_router.loader import collect_commands, load_plugins

HELP_WIDTH = "92"


def command_sections() -> str:
    """Return a section per command with its ``--help``."""
    commands, _ = collect_commands(load_plugins(), reserved=[own.name for own in BUILT_IN])
    parser = build_parser(BUILT_IN, [command for _, command in commands.values()])
    return "\n\n".join(f"### `{name}`\n\n```text\n{text}\n```" for name, text in _helps(parser))


def _helps(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    before = {name: os.environ.get(name) for name in ("COLUMNS", "NO_COLOR")}
    os.environ.update(COLUMNS=HELP_WIDTH, NO_COLOR="1")
    try:
        yield from _help_tree(parser)
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _help_tree(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    yield parser.prog, parser.format_help().rstrip()
    for action in parser._actions:  # argparse has no public way to its sub-commands
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from _help_tree(child)
