"""``python -m benchmarks.check``: fail when a request has become much dearer than it was.

    .venv/bin/python -m benchmarks.check [--json FILE]

It is for CI, where nobody knows the machine and others use it, too. So nothing depends on wall time: the router with
its whole pipeline is loaded for some seconds, the CPU time of its whole process tree is read from the kernel's accounting,
and divided by what a small proxy in pure Python (yardstick.py) took for the same in the same moments. A faster or a busier
machine changes both alike. The bounds are wide: this finds a blunder, not a few microseconds; those are what `make bench` is for.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.arguments import positive
from benchmarks.entries import Direct, Entry, Router
from benchmarks.native import CannotMeasure, compile_programs
from benchmarks.processes import Cores, Tree
from benchmarks.report import at_the_end, machine_facts
from benchmarks.scenarios import Meter

BOUNDS = {"request": 1.8, "stream": 1.6}
"""How many times the yardstick each may cost: 1.6 times of what it did when this was written."""

FULL_PIPELINE = ("api_keys", "rate_limits", "usage", "metrics", "openai_errors")
TRIES = 3
"""So often is measured before something that is too dear is believed."""

LONGEST = 60.0
"""Seconds that one load may take on a very busy machine; it ends with its requests."""

Round = dict[str, dict[str, float]]
"""By what is checked: CPU microseconds of the router and of the yardstick, and the ratio."""

LOADS: dict[str, tuple[int, tuple[object, ...]]] = {
    "request": (300, ()),
    "stream": (80, ("--stream", "--tokens", 16, "--pause-us", 1000)),
}
"""By what is checked: how many there are in a round, and what they are like."""


class Yardstick(Entry):
    """The small proxy before the mock."""

    def __init__(self, cores: Cores, folder: Path, upstream: int) -> None:
        self._upstream = upstream
        super().__init__("yardstick", cores, folder)

    def start(self) -> Tree:
        command = [
            sys.executable,
            "-m",
            "benchmarks.yardstick",
            str(self.port),
            str(self._upstream),
        ]
        root = str(Path(__file__).parents[1])
        tree = Tree(command, self.cores.gateway, self.folder / "log", {"PYTHONPATH": root})
        tree.wait_for(f"http://127.0.0.1:{self.port}/v1/models")
        return tree


def measure_round(yardstick: Meter, router: Meter) -> Round:
    """Measure everything once, each beside its yardstick."""
    one = {}
    for name, (count, shape) in LOADS.items():
        costs = {}
        for meter in (yardstick, router):
            seen, cost = meter.load(
                *("--connections", 16, "--requests", count, "--seconds", LONGEST), *shape
            )
            costs[meter.entry.name] = cost * 1e6 / seen["answered"]
        one[name] = {**costs, "ratio": costs["router"] / costs["yardstick"]}
    return one


def judge(ratios: Sequence[float]) -> float:
    """Return the ratio that counts: the lower quartile, for what disturbs a round makes it dearer."""
    return statistics.quantiles([*ratios, *ratios], n=4, method="inclusive")[0]


def complaint(name: str, ratio: float, bound: float) -> str | None:
    """Return one line about a cost that is over its bound, or None."""
    if ratio <= bound:
        return None
    return (
        f"a {name} costs {ratio:.2f} times the yardstick, more than {bound:g}: something on the way of every "
        f"{name} has become much dearer; `make bench ARGS=--quick` and docs/benchmarks tell more"
    )


@dataclass(frozen=True)
class Setup:
    """What is measured, and how often.

    Args:
        pipeline: Middleware of the router.
        rounds: So many in each try.
        json: Where a record goes.
    """

    pipeline: Sequence[str]
    rounds: int
    json: Path | None


def run(setup: Setup) -> int:
    """Measure and judge; return the exit status."""
    programs = compile_programs()
    machine = machine_facts()
    cores = Cores.chosen()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hoonify-bench-")))

        def add(entry: Entry) -> Meter:
            stack.callback(entry.tree.stop)
            return Meter(programs, entry, LONGEST)

        upstream = add(Direct(cores, folder / "direct", programs)).entry.port
        yardstick = add(Yardstick(cores, folder / "yardstick", upstream))
        router = add(Router("router", cores, folder / "full", setup.pipeline, upstream))
        measure_round(yardstick, router)  # what is made once belongs to no request
        for _ in range(TRIES):
            measured = [measure_round(yardstick, router) for _ in range(setup.rounds)]
            if not too_dear(measured):
                break
    if setup.json:
        record = {"machine": at_the_end(machine), "results": results(measured), "rounds": measured}
        setup.json.write_text(json.dumps(record, indent=1) + "\n")
    return report(measured)


def results(measured: Sequence[Round]) -> dict[str, dict[str, Any]]:
    """Return what the rounds come to, by what is checked."""
    return {
        name: {
            "ratio": round(judge([one[name]["ratio"] for one in measured]), 3),
            "bound": bound,
            **{
                entry: round(statistics.median(one[name][entry] for one in measured), 1)
                for entry in ("router", "yardstick")
            },
        }
        for name, bound in BOUNDS.items()
    }


def too_dear(measured: Sequence[Round]) -> list[str]:
    """Return a line about each thing that is over its bound."""
    told = results(measured)
    lines = (complaint(name, told[name]["ratio"], bound) for name, bound in BOUNDS.items())
    return [line for line in lines if line]


def report(measured: Sequence[Round]) -> int:
    """Print what was measured; return 1 if anything is over its bound."""
    for name, told in results(measured).items():
        print(
            f"{name}: {told['ratio']:.2f} times the yardstick, allowed are {told['bound']:g} "
            f"(CPU µs: router {told['router']:.0f}, yardstick {told['yardstick']:.0f})"
        )
    complaints = too_dear(measured)
    for line in complaints:
        print(f"benchmarks.check: {line}", file=sys.stderr)
    return 1 if complaints else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program: 0 when all is well, 1 when something is too dear, 2 when this machine cannot tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=20, help="default: %(default)s")
    parser.add_argument(
        "--pipeline",
        default=",".join(FULL_PIPELINE),
        help="middleware, by commas (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, help="where a record goes")
    given = parser.parse_args(argv)
    pipeline = [name for name in given.pipeline.split(",") if name]
    try:
        return run(Setup(pipeline, given.rounds, given.json))
    except CannotMeasure as problem:
        print(f"benchmarks.check: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
