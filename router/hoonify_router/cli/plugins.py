"""``hoonify-router plugins``: what is installed, what of it is broken, and new plugins."""

from __future__ import annotations

import argparse
from pathlib import Path

from hoonify_router.cli.output import show_json, show_table, warn
from hoonify_router.cli.parser import BuiltIn, Installed, UnknownName
from hoonify_router.cli.plugins_live import HEADS, ON, live_numbers
from hoonify_router.cli.plugins_show import describe, details_of
from hoonify_router.loader import PluginInfo, did_you_mean
from hoonify_router.scaffold import KINDS, NewPlugin, write_plugin

BROKEN = "broken"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``list``, ``show`` and ``new``."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show all plugins, broken ones too")
    listing.add_argument("--json", action="store_true", help="as JSON")
    showing = actions.add_parser("show", help="show all of one plugin, and why it is broken")
    showing.add_argument("name", metavar="NAME", help="a plugin, or something that it brings")
    showing.add_argument("--json", action="store_true", help="as JSON")
    making = actions.add_parser("new", help="write a plugin of your own, which works at once")
    making.add_argument("kind", choices=KINDS, help=f"what it is: {', '.join(KINDS)}")
    making.add_argument("name", metavar="NAME", help="what router.yaml will call it")
    making.add_argument(
        "--into", metavar="DIR", type=Path, default=Path(), help="where its folder goes; default: ."
    )


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Do one of them; broken plugins never get in the way."""
    return {"list": _list, "show": _show, "new": _new}[arguments.action](arguments, installed)


COMMAND = BuiltIn(
    "plugins",
    "Show the installed plugins, begin a new one.",
    add_arguments,
    run,
    description="Show the installed plugins: what `backend:`, `pipeline:` and `balance:` may name, and more."
    " Begin a new one.",
)


def _list(arguments: argparse.Namespace, installed: Installed) -> int:
    rows = sorted(
        _rows(installed), key=lambda row: (row["kind"] == BROKEN, row["name"], row["kind"])
    )
    live = live_numbers(arguments.config)
    if arguments.json:
        show_json([{**row, "live": live.get(row["name"])} if live else row for row in rows])
    else:
        columns = ("name", "kind", "distribution", "summary")
        show_table(columns, [[row[c] for c in columns] for row in rows], {BROKEN: "bold red"})
        if live:
            print("\nIn the running router:\n")
            show_table(HEADS, [one.cells for one in live.values()], {ON: "green"})
    warn(*installed.plugins.warnings)
    return 0


def _show(arguments: argparse.Namespace, installed: Installed) -> int:
    found = details_of(installed, arguments.name)
    live = live_numbers(arguments.config)
    for one in found:
        names = [thing["name"] for thing in one.get("provides", ())]
        one["live"] = [live[name] for name in names if name in live]
    if not found:
        known = {row["name"] for row in _rows(installed)} | {
            row["plugin"] for row in _rows(installed)
        }
        hint = did_you_mean(arguments.name, known)
        raise UnknownName(f"there is no plugin {arguments.name!r}{hint}; `plugins list` shows all")
    if arguments.json:
        show_json(found)
    else:
        print("\n\n".join(describe(one) for one in found))
    return 0


def _new(arguments: argparse.Namespace, installed: Installed) -> int:
    plugin = NewPlugin(arguments.kind, arguments.name)
    taken = {row["name"] for row in _rows(installed)}
    if plugin.name in taken:
        warn(f"{plugin.name!r} is taken by an installed plugin: both together will not work")
    folder = write_plugin(plugin, arguments.into)
    print(f"{folder} is there. Install it with its tools, and run its tests:")
    print(f"\n    cd {folder}\n    pip install -e '.[dev]'\n    pytest")
    return 0


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
