"""How much one gateway holds: memory of 1,000 open streams, 10,000 streams to their ends, and what a second worker adds.

    .venv/bin/python -m benchmarks.capacity [--only memory,many,workers] [--json FILE]

Everything with the whole pipeline. Memory is what the gateway process has resident. "Whole" is a stream that brought all of
its tokens, its finish, its usage and ``[DONE]``; "left over" is what the router still counts as under way when all have ended.
Workers are compared by the CPU of all gateways per request under the same load, and by how the load is spread: on a
machine with two cores, which the load generator needs, too, requests per second would tell nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.arguments import positive, seconds, some_of
from benchmarks.entries import Direct
from benchmarks.grown import GrownRouter, Size, cpu_of, crowd, open_files, resident_mib
from benchmarks.growth import streams_that_fit
from benchmarks.native import CannotMeasure, Programs, compile_programs
from benchmarks.processes import Cores
from benchmarks.scenarios import Meter

PARTS = ("memory", "many", "workers")
TARGET_MIB = 70.0
PAUSE = 1.0  # seconds between two tokens of a stream
STARTS_PER_SECOND = 500


class Bench:
    """What all parts need.

    Args:
        programs: The compiled programs.
        folder: For what routers write.
        tell: Called with what is going on.
    """

    def __init__(self, programs: Programs, folder: Path, tell: Callable[[str], object]) -> None:
        self.programs = programs
        self.folder = folder
        self.tell = tell
        self.cores = Cores.chosen()
        self.mock = Direct(self.cores, folder / "mock", programs)
        self._stack = ExitStack()
        self._stack.callback(self.mock.tree.stop)

    def start(self, size: Size) -> GrownRouter:
        """Start a router."""
        router = GrownRouter(size, self.cores, self.folder / size.name, self.mock.port)
        self._stack.callback(router.tree.stop)
        return router

    def close(self) -> None:
        """Stop everything."""
        self._stack.close()


def hold(bench: Bench, router: GrownRouter, streams: int) -> dict[str, Any]:
    """Hold so many streams at the same time, let them end, and see what is left of them."""
    (gateway,) = router.gateways()
    before, files = resident_mib(gateway), open_files(gateway)
    ramp = max(1.0, streams / STARTS_PER_SECOND)
    tokens = max(3, int(2 * ramp / PAUSE) + 8)
    with crowd(Meter(bench.programs, router, ramp), streams, PAUSE, tokens, ramp) as one:
        one.wait_begun()
        during = resident_mib(gateway)
        under_way = in_flight(router)
        open_then = open_files(gateway) - files
        seen = one.end()
    whole = seen["answered"] if seen["usages"] == seen["answered"] else seen["usages"]
    left = in_flight(router)
    deadline = time.monotonic() + 20
    while left and time.monotonic() < deadline:
        time.sleep(0.2)
        left = in_flight(router)
    return {
        "streams": streams,
        "whole": whole,
        "failed": seen["failed"],
        "cut": seen["short"],
        "tokens_lost": streams * tokens - seen["tokens"],
        "under_way": under_way,
        "left_over": left,
        "files": open_then,
        "mib_before": round(before, 1),
        "mib_during": round(during, 1),
        "mib_after": round(resident_mib(gateway), 1),
        "kib_each": round((during - before) * 1024 / streams, 1),
        "first_error": seen["first_error"],
    }


def in_flight(router: GrownRouter) -> int:
    """Return the requests that the router counts as under way, the one that asks left out."""
    told = router.metrics()
    counted = sum(v for name, v in told.items() if name.startswith("hoonify_requests_in_flight"))
    at_homes = sum(
        v for name, v in told.items() if name.startswith("hoonify_home_requests_in_flight")
    )
    return int(max(counted, at_homes))


def compare_workers(bench: Bench, rounds: int, seconds: float) -> dict[str, Any]:
    """Load one worker and two in turn; return what a request costs them, and how it is spread."""
    routers = {n: bench.start(Size(f"{n} workers", workers=n)) for n in (1, 2)}
    costs: dict[int, list[float]] = {1: [], 2: []}
    waits: dict[int, list[float]] = {1: [], 2: []}
    shares: list[float] = []
    for router in routers.values():
        router.wait()
        Meter(bench.programs, router, 0.3).load("--connections", 64, "--seconds", 0.3)
    for number in range(rounds):
        bench.tell(f"workers, round {number + 1} of {rounds}")
        for count, router in routers.items():
            gateways = router.gateways()
            before, waited = [cpu_of([pid]) for pid in gateways], switches(gateways)
            meter = Meter(bench.programs, router, seconds)
            seen, _ = meter.load("--connections", 64, "--seconds", seconds)
            spent = [cpu_of([pid]) - then for pid, then in zip(gateways, before, strict=True)]
            costs[count].append(sum(spent) * 1e6 / seen["answered"])
            waits[count].append((switches(gateways) - waited) / seen["answered"])
            if count == 2:
                shares.append(max(spent) / sum(spent))
    one, two = (statistics.median(costs[n]) for n in (1, 2))
    ratio = statistics.median(b / a for a, b in zip(costs[1], costs[2], strict=True))
    share = statistics.median(shares)
    return {
        "cpu_us_one": round(one, 1),
        "cpu_us_two": round(two, 1),
        "times_the_cost": round(ratio, 3),
        "share_of_the_busier": round(share, 3),
        "waits_per_request_one": round(statistics.median(waits[1]), 3),
        "waits_per_request_two": round(statistics.median(waits[2]), 3),
        "times_the_throughput": round(1 / (ratio * share), 2),
    }


def switches(pids: list[int]) -> int:
    """Return how often processes have given up the CPU to wait for something."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


def measure(given: argparse.Namespace, tell: Callable[[str], object]) -> dict[str, Any]:
    """Measure all parts that are asked for."""
    programs = compile_programs()
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hoonify-bench-") as folder:
        bench = Bench(programs, Path(folder), tell)
        try:
            if "memory" in given.only or "many" in given.only:
                router = bench.start(Size("streams"))
                tell(f"ready after {router.wait():.1f} s")
                Meter(programs, router, 0.5).load("--connections", 16, "--seconds", 0.5)
            if "memory" in given.only:
                tell("1,000 streams")
                told["memory"] = hold(bench, router, 1000)
            if "many" in given.only:
                streams = streams_that_fit(10_000)
                tell(f"{streams:,} streams")
                told["many"] = hold(bench, router, streams)
            if "workers" in given.only:
                told["workers"] = compare_workers(bench, given.rounds, given.seconds)
        finally:
            bench.close()
    return told


def table(told: dict[str, Any]) -> list[str]:
    """Return what was measured as lines."""
    lines = []
    for part in ("memory", "many"):
        if (held := told.get(part)) is not None:
            lines += [
                f"{held['streams']:,} streams: {held['whole']:,} whole, {held['failed']} failed, {held['cut']} cut, "
                f"{held['tokens_lost']} tokens lost; {held['under_way']:,} under way at once, {held['left_over']} left over; "
                f"{held['files']:,} files",
                f"  gateway {held['mib_before']} MiB before, {held['mib_during']} MiB with them "
                f"({held['kib_each']} KiB each), {held['mib_after']} MiB after",
            ]
    if "memory" in told:
        met = "met" if told["memory"]["mib_during"] <= TARGET_MIB else "missed"
        lines.append(f"  at most {TARGET_MIB:.0f} MiB with 1,000 streams: {met}")
    if (two := told.get("workers")) is not None:
        lines += [
            f"workers: {two['cpu_us_one']} µs CPU a request with one, {two['cpu_us_two']} µs with two "
            f"({two['times_the_cost']}x); the busier of two does {two['share_of_the_busier']:.0%}; "
            f"waits {two['waits_per_request_one']} and {two['waits_per_request_two']} a request",
            f"  with a core each, two do {two['times_the_throughput']} times what one does",
        ]
    return lines


def main() -> int:
    """Run as a program: 0 when measured, 2 when this machine cannot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=7, help="of the comparison of workers")
    parser.add_argument("--seconds", type=seconds, default=1.0, help="of each load in each round")
    parser.add_argument("--only", type=some_of(PARTS), default=list(PARTS), help="parts, by commas")
    parser.add_argument("--json", type=Path, help="where a record goes")
    given = parser.parse_args()
    try:
        told = measure(given, lambda line: print(line, file=sys.stderr, flush=True))
    except CannotMeasure as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 2
    print("\n".join(table(told)))
    if given.json:
        record = {"machine": report.machine_facts(), **told}
        given.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
