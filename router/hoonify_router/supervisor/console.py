"""What the terminal shows while homes load, and the banner when the door is open.

Rich on a terminal, plain lines anywhere else; what a plain line says is never broken or overwritten.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TextIO

from hoonify_router.supervisor.banner import Banner
from hoonify_router.types import HomeView

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_STYLES = {"ready": "green", "failed": "bold red", "unavailable": "dim", "stopped": "dim"}


def console_for(stream: TextIO | None = None) -> Console:
    """Return the console that fits ``stream``, by default standard output."""
    stream = stream or sys.stdout
    return RichConsole(stream) if stream.isatty() else PlainConsole(stream)


class Console(ABC):
    """Where an operator reads how the start goes."""

    _greeted = False

    @abstractmethod
    def update(self, home: HomeView) -> None:
        """Tell how a home does while the router starts."""

    @abstractmethod
    def greet(self, banner: Banner) -> None:
        """Show the banner; the start is over."""

    @abstractmethod
    def say(self, line: str) -> None:
        """Show one line."""

    def hush(self) -> None:
        """Tell nothing more of homes: the start is over."""
        self._greeted = True

    def close(self) -> None:  # noqa: B027 - plain lines leave nothing behind
        """Leave the terminal as it was."""


class PlainConsole(Console):
    """Plain lines, for pipes, files and service managers."""

    def __init__(self, stream: TextIO) -> None:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an old locale must not cost the banner
        self._stream = stream
        self._told: dict[str, tuple[str, str]] = {}

    def update(self, home: HomeView) -> None:
        """Tell each new state and stage once."""
        stage = home.progress[0] if home.progress else ""
        if self._greeted or self._told.get(home.id) == (home.state, stage):
            return
        self._told[home.id] = (home.state, stage)
        parts = [home.state, stage, home.reason if home.state != "starting" else ""]
        self.say(f"{home.id}: {': '.join(part for part in parts if part)}")

    def greet(self, banner: Banner) -> None:
        """Print the banner."""
        self._greeted = True
        self.say(banner.plain())

    def say(self, line: str) -> None:
        """Print one line; nobody may be reading any more, which is no reason to stop."""
        try:
            print(line, file=self._stream, flush=True)
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):  # or it is tried again at the end
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


class RichConsole(Console):
    """Colours and moving bars, for people."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console as Terminal  # costs a tenth of a second

        self._terminal = Terminal(file=stream, highlight=False)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._handlers: list[tuple[logging.StreamHandler[TextIO], TextIO]] = []

    def update(self, home: HomeView) -> None:
        """Move the home's bar."""
        if self._greeted or home.state in ("unavailable", "stopped"):
            return
        bars = self._shown_bars()
        if home.id not in self._tasks:
            self._tasks[home.id] = bars.add_task("", total=None, home=home.id)
        stage, done, total = home.progress or ("", 0, 0)
        finished = home.state in ("ready", "failed")
        style = _STYLES.get(home.state, "yellow")
        bars.update(
            self._tasks[home.id],
            description=f"[{style}]{home.state}[/] {stage}",
            completed=1 if finished else done,
            total=1 if finished else total or None,
        )

    def greet(self, banner: Banner) -> None:
        """Draw the banner; lines to paste are never wrapped."""
        from rich.table import Table
        from rich.text import Text

        self.close()
        self._greeted = True
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("model", "backend", "state", ""):
            table.add_column(heading)
        for model, backend, state, why in banner.rows:
            table.add_row(model, backend, Text(state, _STYLES.get(state, "yellow")), Text(why))
        self._terminal.print()
        self._terminal.print(Text(banner.title, "bold"))
        self._terminal.print()
        self._terminal.print(table)
        self._terminal.print()
        for note in banner.notes:
            self._terminal.print(Text(note, "bold yellow"), soft_wrap=True)
        if banner.example is None:
            self._terminal.print("No model is ready to be asked.")
            return
        for heading, lines in (
            ("From a shell", [banner.curl]),
            ("From Python, after pip install openai", banner.python),
        ):
            self._terminal.print(Text(f"\n{heading}:\n", "dim"))
            for line in lines:
                self._terminal.print(Text(f"    {line}"), soft_wrap=True)
        self._terminal.print()

    def say(self, line: str) -> None:
        """Print one line."""
        self._terminal.print(line, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            for handler, stream in self._handlers:
                handler.setStream(stream)
            self._handlers.clear()
            self._bars.stop()
            self._bars = None
            self._tasks.clear()

    def _shown_bars(self) -> Progress:
        if self._bars is None:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("[bold]{task.fields[home]}"),
                BarColumn(bar_width=24),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
            )
            self._bars = Progress(*columns, console=self._terminal, transient=True)
            self._bars.start()
            for handler in logging.getLogger().handlers:
                if isinstance(handler, logging.StreamHandler):
                    old = handler.setStream(sys.stderr)  # by now rich's: it prints above the bars
                    self._handlers.append((handler, old or sys.stderr))
        return self._bars
