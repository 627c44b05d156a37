"""``hoonify-router plugins list``: what is installed, and what of it is broken."""

from __future__ import annotations

import argparse

from hoonify_router.cli.output import show_json, show_table, warn
from hoonify_router.cli.parser import BuiltIn, Installed
from hoonify_router.loader import PluginInfo

BROKEN = "broken"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``plugins list``."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show all plugins, broken ones too")
    listing.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Show what is installed; broken plugins never get in the way of this."""
    rows = sorted(
        _rows(installed), key=lambda row: (row["kind"] == BROKEN, row["name"], row["kind"])
    )
    if arguments.json:
        show_json(rows)
    else:
        columns = ("name", "kind", "distribution", "summary")
        show_table(columns, [[row[c] for c in columns] for row in rows], {BROKEN: "bold red"})
    warn(*installed.plugins.warnings)
    return 0


COMMAND = BuiltIn(
    "plugins",
    "Show the installed plugins.",
    add_arguments,
    run,
    description="Show the installed plugins: what `backend:`, `pipeline:` and `balance:` may name, and more.",
    takes_config=False,
)


def _rows(installed: Installed) -> list[dict[str, str]]:
    plugins = installed.plugins
    rows = []
    for info in plugins.infos:
        own = []
        for name in info.provides:
            if (backend := plugins.backends.get(name)) is not None:
                own.append(_row(info, name, f"{backend.kind} backend", backend.summary))
            if (spec := plugins.middleware.get(name)) is not None:
                own.append(_row(info, name, "middleware", spec.summary))
            if (balancer := plugins.balancers.get(name)) is not None:
                own.append(_row(info, name, "balancer", balancer.summary))
        for name, (owner, command) in installed.commands.items():
            if owner == info:
                own.append(_row(info, name, "command", command.summary))
        rows += own or [_row(info, info.name, "hooks", info.summary)]
    for failure in plugins.failures:
        name, distribution = failure.plugin, failure.distribution
        rows.append(
            {
                "name": name,
                "kind": BROKEN,
                "plugin": name,
                "distribution": distribution,
                "summary": failure.message,
            }
        )
    return rows


def _row(info: PluginInfo, name: str, kind: str, summary: str) -> dict[str, str]:
    return {
        "name": name,
        "kind": kind,
        "plugin": info.name,
        "distribution": info.distribution,
        "summary": summary,
    }
