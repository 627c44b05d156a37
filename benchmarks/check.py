"""``python -m benchmarks.check``: fail when a request has become much dearer than it was.

    .venv/bin/python -m benchmarks.check [--json FILE]

It is for CI, where nobody knows the machine and others use it, too. So nothing depends on wall time: the router with
its whole pipeline is loaded for some seconds, the CPU time of its whole process tree is read from the kernel's accounting,
and divided by what two other things took in the same moments: the mock upstream without a router, for sockets, and a
fixed piece of pure Python, for the interpreter. A faster or a busier machine changes all of them alike. The bounds are wide: this finds
a blunder, not a few microseconds; those are what `make bench` is for.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.entries import Direct, Entry, Router
from benchmarks.native import CannotMeasure, compile_programs
from benchmarks.processes import Cores, on_cores
from benchmarks.report import at_the_end, machine_facts
from benchmarks.scenarios import Meter

BOUNDS = {"request": 18.0, "stream": 2.6}
"""How many times its yardstick each may cost: 1.6 times of what it did when this was written."""

FULL_PIPELINE = ("api_keys", "rate_limits", "usage", "metrics", "openai_errors")
TOKENS = 16
LONGEST = 60.0
"""Seconds that one load may take on a very busy machine; it ends with its requests."""

Round = dict[str, dict[str, float]]
"""By what is checked: CPU microseconds of the router and of both parts of the yardstick, and the ratio."""

_BODY = json.dumps(
    {
        "model": "bench-model",
        "messages": [{"role": "user", "content": "Tell me about the quick brown fox. " * 5}],
        "max_tokens": 16,
        "temperature": 0.7,
        "stream": False,
    }
)


def work_in_python(times: int) -> float:
    """Do the same as ever; return the CPU microseconds that each time took.

    It reads a body, looks at it, counts, and writes an answer, as a gateway might, without any package whose
    next release would be faster.
    """
    counts: dict[str, int] = {}
    began = time.thread_time()
    for number in range(times):
        asked = json.loads(_BODY)
        for message in asked["messages"]:
            for word in message["content"].split():
                counts[word] = counts.get(word, 0) + 1
        fields = [f"{name}={value}" for name, value in asked.items() if name != "messages"]
        json.dumps({"id": f"req-{number}", "text": ";".join(fields), "usage": counts})
    return (time.thread_time() - began) * 1e6 / times


def cost_of_requests(meter: Meter, count: int) -> float:
    """Return the CPU microseconds of a small request."""
    seen, cost = meter.load("--connections", 16, "--requests", count, "--seconds", LONGEST)
    return cost * 1e6 / float(seen["answered"])


def cost_of_streams(meter: Meter, count: int) -> float:
    """Return the CPU microseconds of a stream of sixteen tokens, one each millisecond."""
    seen, cost = meter.load(
        *("--connections", 16, "--requests", count, "--seconds", LONGEST),
        *("--stream", "--tokens", TOKENS, "--pause-us", 1000),
    )
    return cost * 1e6 / float(seen["answered"])


@dataclass(frozen=True)
class Load:
    """One thing that is checked.

    Args:
        cost: Measures it.
        count: How many in a round.
        events: How many pieces of Python its yardstick has: what an interpreter must be woken for at least.
    """

    cost: Callable[[Meter, int], float]
    count: int
    events: int


LOADS = {
    "request": Load(cost_of_requests, 1000, 1),
    "stream": Load(cost_of_streams, 200, 1 + TOKENS),
}


def measure_round(direct: Meter, router: Meter, cores: Cores) -> Round:
    """Measure everything once, each beside its yardstick."""
    one = {}
    for name, load in LOADS.items():
        with on_cores(cores.gateway):
            python = load.events * work_in_python(1000)
        socket = load.cost(direct, load.count)
        costs = {"python": python, "direct": socket, "router": load.cost(router, load.count)}
        one[name] = {**costs, "ratio": costs["router"] / (python + socket)}
    return one


def judge(ratios: Sequence[float]) -> float:
    """Return the ratio that counts: the lower quartile, for what disturbs a round makes it dearer."""
    return (
        statistics.quantiles(ratios, n=4, method="inclusive")[0] if len(ratios) > 1 else ratios[0]
    )


def complaint(name: str, ratio: float, bound: float) -> str | None:
    """Return one line about a cost that is over its bound, or None."""
    if ratio <= bound:
        return None
    return (
        f"a {name} costs {ratio:.2f} times the yardstick, more than {bound:g}: something on the way of every "
        f"{name} has become much dearer; `make bench ARGS=--quick` and docs/benchmarks tell more"
    )


def run(pipeline: Sequence[str], rounds: int, json_file: Path | None) -> int:
    """Measure and judge; return the exit status."""
    programs = compile_programs()
    machine = machine_facts()
    cores = Cores.chosen()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hoonify-bench-")))

        def add(entry: Entry) -> Meter:
            stack.callback(entry.tree.stop)
            return Meter(programs, entry, LONGEST)

        direct = add(Direct(cores, folder / "direct", programs))
        router = add(Router("router", cores, folder / "full", pipeline, direct.entry.port))
        measure_round(direct, router, cores)  # what is made once belongs to no request
        measured = [measure_round(direct, router, cores) for _ in range(rounds)]
    return report(measured, json_file, machine)


def report(
    measured: list[Round], json_file: Path | None, machine: dict[str, Any] | None = None
) -> int:
    """Print and record what was measured; return 1 if anything is over its bound."""
    results = {}
    complaints = []
    for name, bound in BOUNDS.items():
        costs = {
            key: round(statistics.median(one[name][key] for one in measured), 1)
            for key in ("python", "direct", "router")
        }
        ratio = judge([one[name]["ratio"] for one in measured])
        results[name] = {"ratio": round(ratio, 2), "bound": bound, **costs}
        print(
            f"{name}: {ratio:.2f} times the yardstick, allowed are {bound:g} (CPU µs: "
            f"router {costs['router']:.0f}, direct {costs['direct']:.0f}, Python {costs['python']:.0f})"
        )
        if said := complaint(name, ratio, bound):
            complaints.append(said)
    if json_file:
        record = {
            "machine": at_the_end(machine or machine_facts()),
            "results": results,
            "rounds": measured,
        }
        json_file.write_text(json.dumps(record, indent=1) + "\n")
    for said in complaints:
        print(f"benchmarks.check: {said}", file=sys.stderr)
    return 1 if complaints else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program: 0 when all is well, 1 when something is too dear, 2 when this machine cannot tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="default: %(default)s")
    parser.add_argument(
        "--pipeline",
        default=",".join(FULL_PIPELINE),
        help="middleware, by commas (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, help="where a record goes")
    given = parser.parse_args(argv)
    try:
        return run([name for name in given.pipeline.split(",") if name], given.rounds, given.json)
    except CannotMeasure as problem:
        print(f"benchmarks.check: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
