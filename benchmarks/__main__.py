"""``python -m benchmarks``: measure, print a table, keep a record."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks import peers, report
from benchmarks.arguments import positive, seconds
from benchmarks.entries import Direct, Entry, Nginx, Router, compiled_python
from benchmarks.native import HERE, CannotMeasure, Programs, compile_programs
from benchmarks.processes import Cores, spent
from benchmarks.scenarios import SCENARIOS, Meter, Readings

FULL_PIPELINE = ("api_keys", "rate_limits", "usage", "metrics", "openai_errors")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=positive, default=5, help="how often everything is measured"
    )
    parser.add_argument("--seconds", type=seconds, default=3.0, help="how long each load lasts")
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument(
        "--pipeline",
        default=",".join(FULL_PIPELINE),
        help="middleware of the full entry, by commas (default: %(default)s)",
    )
    parser.add_argument("--no-peers", action="store_true", help="leave nginx out")
    parser.add_argument(
        "--peers",
        nargs="?",
        const="",
        metavar="NAMES",
        help="measure other routers, too: these, by commas, or all that `make bench-peers` has installed",
    )
    parser.add_argument(
        "--compiled",
        action="store_true",
        help="measure the compiled wheel, too (make compiled first)",
    )
    parser.add_argument(
        "--json", type=Path, default=HERE / "build" / "latest.json", help="where the record goes"
    )
    arguments = parser.parse_args(argv)
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, min(arguments.seconds, 1.0)
    return arguments


class Comparison:
    """Everything that is compared, all of it up at once, so that rounds can be interleaved.

    Args:
        arguments: What the command line says.
        programs: The compiled programs.
        folder: For configurations, states and logs.
        stack: Ends what is started.
        say: Hears how it goes.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        programs: Programs,
        folder: Path,
        stack: ExitStack,
        say: Callable[[str], object],
    ) -> None:
        self._stack = stack
        self._say = say
        self.entries: list[Entry] = []
        self.versions: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        chosen = [] if arguments.peers is None else peers.choose(arguments.peers)
        cores = Cores.chosen()
        upstream = self._add(Direct(cores, folder / "direct", programs)).port
        self._add(Router("router, bare", cores, folder / "bare", (), upstream))
        pipeline = [name for name in arguments.pipeline.split(",") if name]
        self._add(Router("router, full", cores, folder / "full", pipeline, upstream))
        if arguments.compiled:
            python = compiled_python()
            self._add(
                Router(
                    "compiled, full",
                    cores,
                    folder / "compiled",
                    pipeline,
                    upstream,
                    python=python,
                )
            )
        if Nginx.installed() and not arguments.no_peers:
            self._add(Nginx(cores, folder / "nginx", upstream))
            self.versions["nginx"] = Nginx.version()
        for kind in chosen:
            self.versions[kind.name] = kind.installed_version()
            try:
                self._add(peers.Peer(kind, cores, folder / kind.name, upstream))
            except CannotMeasure as problem:
                self._leave_out(kind.name, problem)

    @property
    def names(self) -> list[str]:
        """Return the columns of the table."""
        return [entry.name for entry in self.entries]

    def read(self, entry: Entry, reading: Callable[[], Readings]) -> Readings:
        """Return a reading; a peer that fails is left out from then on.

        Raises:
            CannotMeasure: Something else has failed.
        """
        try:
            return reading()
        except CannotMeasure as problem:
            if not isinstance(entry, peers.Peer):
                raise
            self.entries.remove(entry)
            entry.tree.stop()
            self._leave_out(entry.name, problem)
            return {}

    def _add(self, entry: Entry) -> Entry:
        self._stack.callback(entry.tree.stop)
        self.entries.append(entry)
        return entry

    def _leave_out(self, name: str, problem: CannotMeasure) -> None:
        self.left_out[name] = str(problem)
        self._say(f"{name} is left out: {problem}")


def look_at_idle(entry: Entry, seconds: float) -> Readings:
    """Read what an entry takes while nobody asks anything of it."""
    before = entry.tree.cpu_seconds()
    time.sleep(seconds)
    cost = spent(before, entry.tree.cpu_seconds())
    return {"memory_mib": entry.tree.memory_mib(), "idle_cpu_ms": cost * 1000 / seconds}


def warm_up(meter: Meter) -> Readings:
    """Let it make connections, fill caches, grow: none of that belongs into the first round."""
    meter.load("--connections", 16, "--seconds", 0.3)
    return {}


def measure(arguments: argparse.Namespace, console: Console) -> int:
    """Do it; return the exit status."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False)

    programs = compile_programs()
    machine = report.machine_facts()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hoonify-bench-")))
        compared = Comparison(arguments, programs, folder, stack, say)
        idle = {one.name: look_at_idle(one, min(arguments.seconds, 2)) for one in compared.entries}
        for entry in list(compared.entries):
            compared.read(entry, partial(warm_up, Meter(programs, entry, 0.3)))
        rounds: list[report.Round] = []
        for number in range(arguments.rounds):
            one: report.Round = {name: dict(idle[name]) for name in compared.names}
            for scenario in SCENARIOS:
                for entry in list(compared.entries):
                    say(f"round {number + 1}/{arguments.rounds}: {scenario.__name__}, {entry.name}")
                    meter = Meter(programs, entry, arguments.seconds)
                    one[entry.name] |= compared.read(entry, partial(scenario, meter))
            rounds.append(one)
    names = compared.names
    rounds = [{name: one[name] for name in names} for one in rounds]
    report.print_report(rounds, names, console)
    settings = {name: getattr(arguments, name) for name in ("rounds", "seconds", "pipeline")}
    record = report.build_record(rounds, names, settings, report.at_the_end(machine))
    record["peers"] = {"versions": compared.versions, "left_out": compared.left_out}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    say(f"the record is in {arguments.json}")
    return 0


def main() -> int:
    """Run as a program: 0 when measured, 2 when this machine cannot."""
    arguments = parse_arguments()
    # A table that goes into a file is as wide as all columns want, however narrow the terminal is.
    console = Console(width=200 if not sys.stdout.isatty() else None)
    try:
        return measure(arguments, console)
    except CannotMeasure as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
