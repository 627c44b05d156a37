"""How the command line speaks: rich on a terminal, plain and unwrapped in a pipe."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PROGRAM = "hoonify-router"
GAP = 3
LEAST_ROOM = 36  # with less room than this beside its row, a long text goes below it


def prepare_streams() -> None:
    """Make the standard streams fit for use, whatever we were started with.

    One that is closed is opened on the null device: the next file or socket would get its number, and
    would be taken for the standard stream by all processes that we start.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            if null == number:
                os.set_inheritable(null, True)
            setattr(sys, name, open(null, "w" if number else "r"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Forget what could not be written, so that the interpreter does not complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(*lines: str) -> None:
    """Tell a mistake on standard error, one line each."""
    for line in lines:
        print(f"{PROGRAM}: {line}", file=sys.stderr)


def warn(*lines: str) -> None:
    """Tell on standard error what works but deserves a word."""
    complain(*(f"warning: {line}" for line in lines))


def note(*lines: str) -> None:
    """Tell on standard error what helps to read the output."""
    for line in lines:
        print(line, file=sys.stderr)


def show_json(value: Any) -> None:
    """Print ``value`` for another program to read."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], styles: Mapping[str, str] | None = None
) -> None:
    """Print a table on standard output.

    Args:
        columns: The head of each column.
        rows: A text for each column; empty ones are shown as ``-`` where the output is plain.
        styles: Rich style of a cell by its whole text, such as ``{"ready": "green"}``.
    """
    if sys.stdout.isatty():
        _show_rich_table(columns, rows, styles or {})
        return
    lines = [[column.upper() for column in columns]]
    lines += [[" ".join(cell.split()) or "-" for cell in row] for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def _show_rich_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], styles: Mapping[str, str]
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    lines = [[Text(cell, styles.get(cell, "")) for cell in row] for row in rows]
    heads = [Text(column, "bold") for column in columns]
    widths = [max(cell.cell_len for cell in column) for column in zip(heads, *lines, strict=True)]
    room = console.width - sum(width + GAP for width in widths[:-1])
    if room >= min(widths[-1], LEAST_ROOM):
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for line in lines:
            table.add_row(*line)
        console.print(table)
        return
    for *cells, last in ([*heads[:-1], Text()], *lines):
        for cell, width in zip(cells, widths, strict=False):
            cell.pad_right(width + GAP - cell.cell_len)
        console.print(Text.assemble(*cells), soft_wrap=True)
        if last:
            console.print(Text.assemble("    ", last), soft_wrap=True)
