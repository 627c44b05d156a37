"""``hoonify-router usage``: what requests came to, by key, model or day."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from dataclasses import asdict
from typing import Any

from hoonify_plugins.usage.moments import read_moment
from hoonify_plugins.usage.settings import journal_folder, settings_in
from hoonify_router.api import Command, PluginContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how to add up, since when, and in which form."""
    parser.add_argument(
        "--by", choices=("key", "model", "day"), default="model", help="default: model"
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        type=_moment,
        help="a day such as 2026-11-01 (UTC), or how long ago, such as 24h or 7d; default: from the beginning",
    )
    parser.add_argument("--key", metavar="ID", help="of this key only")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--csv", action="store_true", help="as CSV")


def run(arguments: argparse.Namespace, context: PluginContext) -> int:
    """Print the sums and return the exit status."""
    from hoonify_plugins.database.address import database_url
    from hoonify_plugins.usage.collector import UsageCollector
    from hoonify_plugins.usage.store import UsageStore

    store = UsageStore(database_url(settings_in(context.loaded).store, context.loaded))
    try:
        # What a router that is not running has left behind counts, too.
        UsageCollector(lambda: store, journal_folder(context.loaded), context.log).collect()
        totals = store.totals(arguments.by, since=arguments.since, key_id=arguments.key)
    finally:
        store.close()
    rows = [{arguments.by if n == "group" else n: v for n, v in asdict(t).items()} for t in totals]
    if arguments.json:
        print(json.dumps(rows, indent=2))
    elif arguments.csv:
        names = [arguments.by, *_numbers()]
        writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        _print_table(arguments.by, rows)
    return 0


USAGE_COMMAND = Command("usage", "Add up what requests came to.", add_arguments, run)


def _numbers() -> list[str]:
    tokens = ["prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"]
    return ["requests", "failed", *tokens, "price"]


def _print_table(by: str, rows: list[dict[str, Any]]) -> None:
    names = [by, *_numbers()]
    lines = [[name.upper().replace("_TOKENS", "") for name in names]]
    for row in rows:
        cells = [f"{row['price']:.6f}" if name == "price" else str(row[name]) for name in names]
        lines.append([cells[0] or "-", *cells[1:]])
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    for line in lines:
        first = line[0].ljust(widths[0])
        print("  ".join([first, *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]))


def _moment(text: str) -> float:
    try:
        return read_moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
