"""What a request costs a gateway as everything around it grows: keys, models, homes, prompts, streams.

    .venv/bin/python -m benchmarks.growth [--rounds 5] [--seconds 0.6] [--only keys,homes] [--json FILE]

Routers of all sizes run at the same time, each with the whole pipeline, and every round visits them in turn. A row's cost
is the CPU time, user and system, of its gateway process, the median over the rounds; ``x`` is how many times that of the
first row of its part it is, the median of the ratios within a round.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.arguments import positive, seconds, some_of
from benchmarks.entries import Direct
from benchmarks.grown import GrownRouter, Size, cpu_of, crowd, resident_mib
from benchmarks.native import CannotMeasure, Programs, compile_programs
from benchmarks.processes import Cores
from benchmarks.scenarios import Meter

BASE = Size("10 keys, 10 models, 1 home")
SIZES = {
    "keys": [Size("1,000 keys", keys=1_000), Size("100,000 keys", keys=100_000)],
    "models": [Size("1,000 models", models=1_000)],
    "homes": [
        Size(f"200 homes, {name}", homes=200, balance=name)
        for name in ("round_robin", "least_loaded", "prefix")
    ],
}
PROMPTS = {"1 KB of prompt": 1 << 10, "32 KB of prompt": 1 << 15, "1 MB of prompt": 1 << 20}
CROWDS = (("100 streams", 100), ("1,000 streams", 1_000), ("10,000 streams", 10_000))
CHUNKS_PER_SECOND = 5_000
PARTS = ("keys", "models", "homes", "prompts", "streams")


@dataclass
class Row:
    """One line of the table.

    Args:
        part: What grows.
        name: How far.
        unit: What costs.
        costs: Microseconds, a number per round.
        extra: What else is to be told of it.
    """

    part: str
    name: str
    unit: str
    costs: list[float] = field(default_factory=list)
    extra: dict[str, float] = field(default_factory=dict)


class Measured:
    """The rows so far."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, part: str, name: str, unit: str, cost: float) -> Row:
        """Note one round's cost of one row."""
        for row in self.rows:
            if (row.part, row.name) == (part, name):
                break
        else:
            row = Row(part, name, unit)
            self.rows.append(row)
        row.costs.append(cost)
        return row

    def ratio(self, row: Row) -> float:
        """Return how many times the cost of the first row of its part a row has."""
        first = next(one for one in self.rows if one.part == row.part)
        pairs = zip(row.costs, first.costs, strict=True)
        return statistics.median(cost / base for cost, base in pairs)

    def table(self) -> list[str]:
        """Return the table as lines."""
        lines = [f"{'part':<10}{'size':<30}{'µs':>9}{'x':>7}  per"]
        for row in self.rows:
            more = "".join(f"  {name} {value:,.1f}" for name, value in row.extra.items())
            cost = statistics.median(row.costs)
            lines.append(
                f"{row.part:<10}{row.name:<30}{cost:>9.1f}{self.ratio(row):>7.2f}  {row.unit}{more}"
            )
        return lines

    def record(self) -> list[dict[str, Any]]:
        """Return the same, ready for JSON."""
        return [
            {
                "part": row.part,
                "size": row.name,
                "per": row.unit,
                "cpu_us": round(statistics.median(row.costs), 2),
                "times_the_first": round(self.ratio(row), 3),
                "rounds": [round(cost, 2) for cost in row.costs],
                **{name: round(value, 2) for name, value in row.extra.items()},
            }
            for row in self.rows
        ]


def request_cost(programs: Programs, router: GrownRouter, seconds: float, *shape: object) -> float:
    """Return the gateway's CPU microseconds per request in a closed loop of 16 connections."""
    gateways = router.gateways()
    before = cpu_of(gateways)
    meter = Meter(programs, router, seconds)
    seen, _ = meter.load("--connections", 16, "--seconds", seconds, *shape)
    return (cpu_of(gateways) - before) * 1e6 / float(seen["answered"])


def chunk_cost(
    programs: Programs, router: GrownRouter, streams: int, seconds: float
) -> tuple[float, dict[str, float]]:
    """Return the gateway's CPU microseconds per chunk while so many streams are open, and its memory with them.

    The rate of chunks is the same for every number of streams: each is as much slower as there are more of them.
    """
    pause = streams / CHUNKS_PER_SECOND
    ramp = max(1.0, streams / 500)
    tokens = max(3, int((1.5 * ramp + 10 + seconds) / pause) + 2)
    gateways = router.gateways()
    with crowd(Meter(programs, router, seconds), streams, pause, tokens, ramp) as one:
        one.wait_begun()
        memory = sum(map(resident_mib, gateways))
        count, before = one.tokens(), cpu_of(gateways)
        time.sleep(seconds)
        more, after = one.tokens() - count, cpu_of(gateways)
        seen = one.end()
    if seen["failed"] or seen["short"] or seen["answered"] != streams:
        raise CannotMeasure(f"{streams} streams did not all end well: {seen}")
    return (after - before) * 1e6 / max(1, more), {"MiB": memory, "chunks/s": more / seconds}


def streams_that_fit(wanted: int) -> int:
    """Return how many streams one gateway can hold where the system limits open files, and the load generator too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, (hard - 100) // 2)


def start_routers(
    parts: Iterable[str], cores: Cores, folder: Path, upstream: int, stack: ExitStack
) -> dict[str, GrownRouter]:
    """Start one router of each size, side by side; return them by name."""
    sizes = [BASE, *(size for part in parts for size in SIZES.get(part, ()))]
    routers = {}
    for number, size in enumerate(sizes):
        router = GrownRouter(size, cores, folder / str(number), upstream)
        stack.callback(router.tree.stop)
        routers[size.name] = router
    return routers


def measure(given: argparse.Namespace, tell: Callable[[str], object]) -> Measured:
    """Measure all parts that are asked for."""
    programs = compile_programs()
    parts = given.only
    measured = Measured()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hoonify-bench-")))
        cores = Cores.chosen()
        mock = Direct(cores, folder / "mock", programs)
        stack.callback(mock.tree.stop)
        routers = start_routers(parts, cores, folder, mock.port, stack)
        base = routers[BASE.name]
        for router in routers.values():
            tell(f"{router.name}: ready after {router.wait():.1f} s")
            request_cost(programs, router, 0.3)
        seconds = given.seconds
        for number in range(given.rounds):
            tell(f"round {number + 1} of {given.rounds}")
            for part in (one for one in SIZES if one in parts):
                for size in (BASE, *SIZES[part]):
                    router = routers[size.name]
                    cost = request_cost(programs, router, seconds)
                    measured.add(part, size.name, "request", cost)
                    if size.keys >= 1000:
                        shape = ("--keys", router.key_file)
                        cost = request_cost(programs, router, seconds, *shape)
                        measured.add(part, f"{size.name}, in turn", "request", cost)
            if "prompts" in parts:
                for name, padding in PROMPTS.items():
                    cost = request_cost(programs, base, seconds, "--padding", padding)
                    measured.add("prompts", name, "request", cost)
        if "streams" in parts:
            for name, wanted in CROWDS:
                streams = streams_that_fit(wanted)
                tell(f"{streams:,} streams")
                cost, extra = chunk_cost(programs, base, streams, given.crowd_seconds)
                shown = name if streams == wanted else f"{streams:,} streams"
                measured.add("streams", shown, "chunk", cost).extra = extra
    return measured


def main() -> int:
    """Run as a program: 0 when measured, 2 when this machine cannot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--seconds", type=seconds, default=0.6, help="of each load in each round")
    parser.add_argument(
        "--crowd-seconds", type=seconds, default=8.0, help="of each crowd of streams"
    )
    parser.add_argument("--only", type=some_of(PARTS), default=list(PARTS), help="parts, by commas")
    parser.add_argument("--json", type=Path, help="where a record goes")
    given = parser.parse_args()
    try:
        measured = measure(given, lambda line: print(line, file=sys.stderr, flush=True))
    except CannotMeasure as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 2
    print("\n".join(measured.table()))
    if given.json:
        record = {"machine": report.machine_facts(), "rows": measured.record()}
        given.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
