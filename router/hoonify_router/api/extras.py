"""What else a plugin may bring or hear: routes, commands, events of homes."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hoonify_router.api.middleware import PluginContext, RequestContext
from hoonify_router.types import HomeView


@dataclass(frozen=True)
class Route:
    """An extra HTTP route that passes nothing: ``handler`` is an ordinary Sanic handler."""

    path: str
    handler: Callable[..., Any]
    methods: tuple[str, ...] = ("GET",)


@dataclass(frozen=True)
class Result:
    """What an ``APIRoute`` answers with.

    Args:
        content: What msgspec can make JSON of.
        status: HTTP status.
    """

    content: Any
    status: int = 200


@dataclass(frozen=True)
class ErrorBody:
    """What ``hoonify_shape_error`` may return where its body is not plain ``application/json``.

    Args:
        content: What msgspec can make JSON of.
        content_type: What that is.
    """

    content: Mapping[str, Any]
    content_type: str = "application/json"


APIHandler = Callable[[RequestContext, Mapping[str, str]], Awaitable[Result]]
"""``await handler(ctx, given)``: ``given`` has the parts of the path and of the query by their names. It may raise
any ``RouterError``, which is the answer then."""


@dataclass(frozen=True)
class APIRoute:
    """An extra HTTP route that passes the pipeline like any request: keys, limits, metrics, log.

    Args:
        path: As Sanic wants it, such as ``/v1/admin/keys/<key_id:str>``.
        handler: Answers; must not block.
        scope: What a key must be allowed to do, ``None`` for nothing in particular. Without authentication only
            ``inference`` is allowed.
        method: One method of HTTP.
    """

    path: str
    handler: APIHandler
    scope: str | None = "inference"
    method: str = "GET"


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
