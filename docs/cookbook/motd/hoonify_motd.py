"""A message of the day: a route that clients with a key may read, and a command that sets it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from hoonify_router.api import (
    APIRoute,
    Command,
    PluginContext,
    RequestContext,
    Result,
    Route,
    hookimpl,
)
from hoonify_router.errors import NotFound

LONGEST = 500


def message_file(context: PluginContext) -> Path:
    """Return where the message is kept: in the folder for durable state."""
    return context.state_dir / "motd.txt"


async def answer(context: PluginContext, ctx: RequestContext, given: Mapping[str, str]) -> Result:
    """Answer `GET /v1/motd`; it passes the pipeline, so keys, limits, metrics and the log apply."""
    try:
        text = message_file(context).read_text(encoding="utf-8")  # a few bytes, from the cache
    except FileNotFoundError:
        raise NotFound("There is no message today.") from None
    return Result({"message": text})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the message."""
    parser.add_argument("message", help="the message; an empty one takes it away")


def run(arguments: argparse.Namespace, context: PluginContext) -> int:
    """Set it."""
    if len(arguments.message) > LONGEST:
        print(f"the message is longer than {LONGEST} characters")
        return 2
    file = message_file(context)
    if arguments.message:
        file.write_text(arguments.message, encoding="utf-8")
    else:
        file.unlink(missing_ok=True)
    return 0


@hookimpl
def hoonify_register_routes(context: PluginContext) -> list[Route | APIRoute]:
    """Register the route."""
    return [APIRoute("/v1/motd", partial(answer, context))]


@hookimpl
def hoonify_register_commands() -> list[Command]:
    """Register `hoonify-router motd`."""
    return [Command("motd", "Set the message of the day.", add_arguments, run)]
