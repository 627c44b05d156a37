"""``python -m benchmarks``: measure, print a table, keep a record."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from benchmarks import peers, report
from benchmarks.entries import Direct, Entry, Nginx, Router
from benchmarks.native import HERE, CannotMeasure, Programs, compile_programs
from benchmarks.processes import Cores, spent
from benchmarks.scenarios import SCENARIOS, Meter, Readings

FULL_PIPELINE = ("api_keys", "rate_limits", "usage", "metrics", "openai_errors")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each load lasts")
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument(
        "--pipeline",
        default=",".join(FULL_PIPELINE),
        help="middleware of the full entry, by commas (default: %(default)s)",
    )
    parser.add_argument("--no-peers", action="store_true", help="leave nginx out")
    parser.add_argument(
        "--peers", action="store_true", help="measure other routers, too (make bench-peers first)"
    )
    parser.add_argument(
        "--json", type=Path, default=HERE / "build" / "latest.json", help="where the record goes"
    )
    arguments = parser.parse_args(argv)
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, min(arguments.seconds, 1.0)
    return arguments


def start_entries(
    arguments: argparse.Namespace, programs: Programs, folder: Path, stack: ExitStack
) -> list[Entry]:
    """Start everything that is compared, all at once, so that rounds can be interleaved."""
    cores = Cores.chosen()
    entries: list[Entry] = []

    def add(entry: Entry) -> Entry:
        stack.callback(entry.tree.stop)
        entries.append(entry)
        return entry

    upstream = add(Direct(cores, folder / "direct", programs)).port
    add(Router("router, bare", cores, folder / "bare", (), upstream))
    pipeline = [name for name in arguments.pipeline.split(",") if name]
    add(Router("router, full", cores, folder / "full", pipeline, upstream))
    if Nginx.installed() and not arguments.no_peers:
        add(Nginx(cores, folder / "nginx", upstream))
    if arguments.peers:
        kinds = peers.installed()
        if not kinds:
            raise CannotMeasure("no other router is installed; `make bench-peers` installs some")
        for kind in kinds:
            add(peers.Peer(kind, cores, folder / kind.name, upstream))
    return entries


def look_at_idle(entry: Entry, seconds: float) -> Readings:
    """Read what an entry takes while nobody asks anything of it."""
    before = entry.tree.cpu_seconds()
    time.sleep(seconds)
    cost = spent(before, entry.tree.cpu_seconds())
    return {"memory_mib": entry.tree.memory_mib(), "idle_cpu_ms": cost * 1000 / seconds}


def measure(arguments: argparse.Namespace, console: Console) -> int:
    """Do it; return the exit status."""
    programs = compile_programs()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hoonify-bench-")))
        entries = start_entries(arguments, programs, folder, stack)
        names = [entry.name for entry in entries]
        idle = {entry.name: look_at_idle(entry, min(arguments.seconds, 2)) for entry in entries}
        for (
            entry
        ) in entries:  # connections, caches, the allocator: none of it belongs into round one
            Meter(programs, entry, 0.3).load("--connections", 16, "--seconds", 0.3)
        rounds: list[report.Round] = []
        for number in range(arguments.rounds):
            one: report.Round = {name: dict(idle[name]) for name in names}
            for scenario in SCENARIOS:
                for entry in entries:
                    console.print(
                        f"round {number + 1}/{arguments.rounds}: {scenario.__name__}, {entry.name}",
                        highlight=False,
                    )
                    one[entry.name] |= scenario(Meter(programs, entry, arguments.seconds))
            rounds.append(one)
    report.print_report(rounds, names, console)
    settings = {name: getattr(arguments, name) for name in ("rounds", "seconds", "pipeline")}
    record = report.build_record(rounds, names, settings)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    console.print(f"the record is in {arguments.json}", highlight=False)
    return 0


def main() -> int:
    """Run as a program: 0 when measured, 2 when this machine cannot."""
    console = Console(width=120 if not sys.stdout.isatty() else None)
    try:
        return measure(parse_arguments(), console)
    except CannotMeasure as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
