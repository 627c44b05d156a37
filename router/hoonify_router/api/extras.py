"""What else a plugin may bring or hear: routes, commands, events of homes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hoonify_router.api.middleware import PluginContext
from hoonify_router.types import HomeView


@dataclass(frozen=True)
class Route:
    """An extra HTTP route; ``handler`` is an ordinary Sanic handler."""

    path: str
    handler: Callable[..., Any]
    methods: tuple[str, ...] = ("GET",)


@dataclass(frozen=True)
class Command:
    """An extra sub-command of ``hoonify-router``.

    Args:
        name: Its word on the command line.
        summary: One line for ``--help``.
        add_arguments: Declares its arguments on an argparse parser.
        run: Does it and returns the exit status: 0, or 2 after a user's mistake.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, PluginContext], int]


@dataclass(frozen=True)
class BackendEvent:
    """Something happened to a home: its ``state`` is new."""

    home: HomeView
    generation: int
