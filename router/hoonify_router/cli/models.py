"""``hoonify-router models``: the catalog, how each home does, and starting and stopping by hand."""

from __future__ import annotations

import argparse
import dataclasses
import math
from typing import Any

from hoonify_router.cli import orders
from hoonify_router.cli.availability import AVAILABLE, UNAVAILABLE, Report, reports_of
from hoonify_router.cli.output import note, show_json, show_table
from hoonify_router.cli.parser import BuiltIn, Installed, UsageError
from hoonify_router.cli.preparation import prepare
from hoonify_router.cli.running import homes_of_running_router
from hoonify_router.config import LoadedConfig, shadow_id
from hoonify_router.types import HomeView

LIST = "list"
STYLES = {
    "ready": "green",
    AVAILABLE: "green",
    "loading": "yellow",
    "starting": "yellow",
    "draining": "yellow",
    "stopped": "dim",
    "failed": "bold red",
    UNAVAILABLE: "red",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is to be done with which of them."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=(LIST, *orders.ACTIONS),
        default=LIST,
        help="list them (the default), or start, stop or restart some",
    )
    orders.add_names(parser, "*")
    parser.add_argument("--json", action="store_true", help="as JSON, with more about each home")


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """List the models, or give an order to the running router."""
    if arguments.action == LIST:
        if arguments.names:
            raise UsageError("`models list` takes no names; it lists all of them")
        return _list(arguments, installed)
    if not arguments.names:
        raise UsageError(f"`models {arguments.action}` needs a model or a home: which?")
    return orders.give(arguments, arguments.action)


def _list(arguments: argparse.Namespace, installed: Installed) -> int:
    """Ask the router that runs on this configuration; tell what could run where there is none."""
    loaded = prepare(arguments.config, installed.plugins)
    reports = reports_of(loaded, installed.plugins)
    if (homes := homes_of_running_router(loaded)) is None:
        note(f"no router runs on {loaded.name}: these are the homes that could run here")
    else:
        reports = [_live(report, homes.get(report.id)) for report in reports]
    if arguments.json:
        show_json([_as_json(loaded, report) for report in reports])
        return 0
    rows = []
    for report in reports:
        model = loaded.config.models[report.model]
        context = str(model.context_length)
        name = report.id if report.id == shadow_id(report.model) else report.model
        cells = (name, model.provider, context, report.backend, report.state, report.story)
        rows.append(cells)
    show_table(("id", "provider", "context", "backend", "state", "reason"), rows, STYLES)
    return 0


COMMAND = BuiltIn(
    "models",
    "Show the catalog and each home; start, stop, restart some.",
    add_arguments,
    run,
    description=(
        "Show the catalog and the state of each home, as the router that runs on this configuration"
        " tells it; where none runs, whether the home could run here. `models stop` drains homes and ends their engines;"
        " they stay out of service, whoever asks, until `models start`. `models restart` takes one after the other."
    ),
)


def _live(report: Report, home: HomeView | None) -> Report:
    if home is None:
        return dataclasses.replace(
            report, state="stopped", reason="It is not in the running router."
        )
    stage, done, total = home.progress or ("", 0, 0)
    retry_after = None
    if home.state == "failed" and home.retry_after is not None:
        retry_after = math.ceil(home.retry_after)
    return dataclasses.replace(
        report,
        state=home.state,
        reason=home.reason,
        detail=home.detail,
        retry_after=retry_after,
        progress=f"{stage}, {done} of {total}" if total else stage,
    )


def _as_json(loaded: LoadedConfig, report: Report) -> dict[str, Any]:
    model = loaded.config.models[report.model]
    return {
        "id": report.model,
        "provider": model.provider,
        "context_length": model.context_length,
        "home": report.id,
        "backend": report.backend,
        "state": report.state,
        "reason": report.reason or None,
        "detail": report.detail or None,
        "retry_after": report.retry_after,
    }
