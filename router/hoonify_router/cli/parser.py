"""Turn the command line into arguments, and mistakes in it into one helpful line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, NoReturn

from hoonify_router import __version__
from hoonify_router.api import Command
from hoonify_router.cli.output import PROGRAM
from hoonify_router.loader import PluginInfo, Plugins, did_you_mean

CONFIG_HELP = "the configuration; default: $HOONIFY_CONFIG, else config/router.yaml"
EPILOG = "`hoonify-router COMMAND --help` tells more about each of them."
INVALID_CHOICE = re.compile(
    r"argument (?P<argument>.+?): invalid choice: '(?P<given>.*?)'.* \(choose from (?P<known>.*)\)"
)


class UsageError(Exception):
    """A mistake on the command line, told on one line; exit status 2."""


class UnknownName(UsageError):
    """A word that names nothing, such as a command that a broken plugin would have brought."""


@dataclass(frozen=True)
class Installed:
    """What this run has to work with.

    Args:
        plugins: All plugins.
        commands: The plugins' commands by name, each with the plugin that brings it.
    """

    plugins: Plugins
    commands: Mapping[str, tuple[PluginInfo, Command]]


@dataclass(frozen=True)
class BuiltIn:
    """A sub-command of our own.

    Args:
        name: Its word on the command line.
        summary: One line for ``--help``.
        add_arguments: Declares its arguments.
        run: Does it and returns the exit status.
        description: What ``COMMAND --help`` says; default: the summary.
        takes_config: Whether ``--config`` means anything to it.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Installed], int]
    description: str = ""
    takes_config: bool = True


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that raises ``UsageError`` and guesses what was meant."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse what is not known, here in the sub-command that does not know it."""
        found, rest = super().parse_known_args(args, namespace)
        for word in rest:
            if word.startswith("-"):
                name = word.partition("=")[0]
                hint = did_you_mean(name, self._option_string_actions).replace("'", "")
                self.error(f"there is no option {name}{hint}")
        if rest:
            self.error(f"{' '.join(rest)!r} is too much")
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Raise ``message`` as a ``UsageError``."""
        if found := INVALID_CHOICE.search(message):
            known = [name.strip("' ") for name in found["known"].split(",")]
            given, argument = found["given"], found["argument"]
            what = (
                f"{argument}: there is no"
                if argument[0] == "-"
                else f"there is no {argument.lower()}"
            )
            hint = did_you_mean(given, known)
            raise UnknownName(f"{what} {given!r}{hint} (there are: {', '.join(known)})")
        raise UsageError(f"{message}; see `{self.prog} --help`")


def split_config(words: list[str]) -> tuple[str | None, list[str]]:
    """Take ``--config FILE`` from anywhere on the line, so that plugins' commands need not declare it."""
    found, rest = argparse.ArgumentParser.parse_known_args(_config_parser(), words)
    return found.config, rest


def build_parser(built_in: Iterable[BuiltIn], commands: Iterable[Command]) -> Parser:
    """Return the parser of the whole command line, but for ``--config``."""
    shown = _config_parser()
    parser = Parser(
        PROGRAM,
        description="One OpenAI-compatible door in front of many inference engines.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {_version()}")
    children = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for own in built_in:
        child = children.add_parser(
            own.name,
            help=own.summary,
            description=own.description or own.summary,
            parents=[shown] if own.takes_config else [],
            allow_abbrev=False,
        )
        own.add_arguments(child)
    for command in commands:
        child = children.add_parser(
            command.name,
            help=command.summary,
            description=command.summary,
            parents=[shown],
            allow_abbrev=False,
        )
        command.add_arguments(child)
    return parser


def _version() -> str:
    """Return the version, and whether this is the wheel whose hot modules are compiled."""
    folder = Path(__file__).resolve().parent.parent
    compiled = any(next(folder.glob(f"*{suffix}"), None) for suffix in EXTENSION_SUFFIXES)
    return f"{__version__} (compiled)" if compiled else __version__


def _config_parser() -> Parser:
    parser = Parser(PROGRAM, add_help=False, allow_abbrev=False)
    parser.add_argument("--config", metavar="FILE", type=_file, help=CONFIG_HELP)
    return parser


def _file(text: str) -> str:
    if not text:  # of a variable that is not set, say: another file than was meant is no good guess
        raise argparse.ArgumentTypeError("expected a file")
    return text
