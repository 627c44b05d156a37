"""``python -m benchmarks.prefix``: does it pay to send a prompt where its beginning is known?

    hoonify-router env sync sglang --accelerator cpu    # once, for real engines
    .venv/bin/python -m benchmarks.prefix [--rounds 3] [--json FILE] [--page FILE]

Two real SGLang servers on the CPU serve the model that ships, behind a real router. Users talk to it about
documents of their own, and the caches hold just what is talked about at a time. The same is asked under each way to balance,
in turn; SGLang tells in each answer's usage how many tokens of the prompt it still knew. The same talk, and one in which groups share a
system prompt, is then simulated with more homes. Where SGLang's environment is missing, there is only the simulation.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.arguments import positive
from benchmarks.conversations import Outcome, Traffic, medians
from benchmarks.native import CannotMeasure
from benchmarks.prefix_engine import HOMES, Replicas, Run, environment
from benchmarks.prefix_simulator import Home, Simulation, Speed
from benchmarks.report import at_the_end, machine_facts
from hoonify_plugins.balancers.least_loaded import LeastLoaded, LeastLoadedSettings
from hoonify_plugins.balancers.prefix import Prefix, PrefixSettings
from hoonify_router.api import Balancer
from hoonify_router.balancing import RoundRobin

BALANCERS: dict[str, Callable[[], Balancer]] = {
    "round_robin": RoundRobin,
    "least_loaded": lambda: LeastLoaded(LeastLoadedSettings(), random.Random(1)),
    "prefix": lambda: Prefix(PrefixSettings(), random.Random(1)),
}
USERS_PER_HOME = 12
THINK = 5.0
ROOM = 1.0
"""Part of all that is talked about at a time that the caches of all homes hold together."""

DOCUMENTS = "documents"
ASSISTANTS = "assistants"
TOKENS_PER_CHARACTER = 0.54
"""Of the model that ships, whose vocabulary is small."""

_MARK = "<!-- measured -->"

Readings = dict[str, float]
Rounds = dict[str, list[Readings]]
"""By way to balance."""


def traffic(kind: str, homes: int) -> Traffic:
    """Return what is asked of so many homes."""
    users = USERS_PER_HOME * homes
    if kind == DOCUMENTS:
        return Traffic(users, 1, turns=4, system=0, document=1200, question=100, answer=40)
    return Traffic(users, 3 * homes, turns=5, system=1200, question=300, answer=60)


def simulate(kind: str, homes: int, how: str, seed: str, requests: int = 200) -> Outcome:
    """Return what came of so many requests for each home."""
    speed = Speed(think=THINK)
    asked = traffic(kind, homes)
    made = [Home(f"m/{number}", int(asked.alive * ROOM / homes), speed) for number in range(homes)]
    return Simulation(BALANCERS[how](), made, asked, seed, speed).run(requests * homes)


def measure(environments: Path, rounds: int, requests: int, say: Callable[[str], object]) -> Rounds:
    """Ask real engines; every round is asked under each way to balance in turn."""
    asked = traffic(DOCUMENTS, HOMES)
    tokens = int(asked.alive * ROOM / HOMES * TOKENS_PER_CHARACTER)
    readings: Rounds = {how: [] for how in BALANCERS}
    with tempfile.TemporaryDirectory(prefix="hoonify-bench-") as folder:
        say(f"starting {HOMES} SGLang servers, each with a cache of {tokens} tokens")
        replicas = Replicas(Path(folder), environments, tokens)
        try:
            Run(replicas, asked, "warm", 2 * HOMES, 0.1).run()
            for number in range(rounds):
                for how in BALANCERS:
                    say(f"round {number + 1}/{rounds}: {how}")
                    replicas.balance(how)
                    seed = (
                        f"{number} {how}"  # what the last run has left in the caches is of no use
                    )
                    outcome = Run(replicas, asked, seed, requests, THINK).run()
                    readings[how].append(outcome.readings())
        finally:
            replicas.tree.stop()
    return readings


def table(title: str, readings: dict[str, Readings]) -> list[str]:
    """Return the lines of a table: a way to balance each."""
    first, last = readings["round_robin"]["hit_rate"], "x round_robin"
    lines = [
        f"{title}",
        f"{'':14}{'hit rate':>10}{last:>15}{'busiest home':>14}{'first token p50, ms':>21}{'p90':>8}",
    ]
    for how, one in readings.items():
        lines.append(
            f"{how:14}{one['hit_rate']:10.1%}{one['hit_rate'] / first:15.2f}{one['imbalance']:14.2f}"
            f"{one['first_token_p50_ms']:21.0f}{one['first_token_p90_ms']:8.0f}"
        )
    return [*lines, ""]


def run(rounds: int, requests: int, real: bool, say: Callable[[str], object]) -> dict[str, Any]:
    """Measure and simulate; return the record."""
    record: dict[str, Any] = {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine_facts(),
        "settings": {"rounds": rounds, "requests": requests, "think": THINK, "room": ROOM},
    }
    environments = environment() if real else None
    if environments:
        measured = measure(environments, rounds, requests, say)
        record["rounds"] = measured
        record["sglang"] = {how: medians(of) for how, of in measured.items()}
    elif real:
        say(
            "SGLang's environment is not built (hoonify-router env sync sglang --accelerator cpu), so "
            "everything here is simulated"
        )
    record["simulated"] = {
        kind: {
            str(homes): {
                how: medians([simulate(kind, homes, how, seed).readings() for seed in "123"])
                for how in BALANCERS
            }
            for homes in (2, 4, 8)
        }
        for kind in (DOCUMENTS, ASSISTANTS)
    }
    record["machine"] = at_the_end(record["machine"])
    return record


def tables(record: dict[str, Any]) -> str:
    """Return all tables of a record."""
    lines = []
    if "sglang" in record:
        lines += table(f"documents, {HOMES} real SGLang servers on the CPU", record["sglang"])
    for kind, by_homes in record["simulated"].items():
        for homes, readings in by_homes.items():
            lines += table(f"{kind}, {homes} simulated homes", readings)
    return "\n".join(lines).rstrip()


def put_into_page(page: Path, record: dict[str, Any]) -> None:
    """Replace what a page says was measured; what comes after its mark is all measured."""
    before, mark, _ = page.read_text().partition(_MARK)
    machine = record["machine"]
    loads = f"{machine['load_average'][0]} before and {machine['load_average_end'][0]} after"
    head = (
        f"{record['when'][:10]}, {machine['cores']} cores of an {machine['cpu']}, Python {machine['python']}, "
        f"medians of {record['settings']['rounds']} rounds, load average {loads}:"
    )
    if max(machine["load_average"][0], machine["load_average_end"][0]) > 2 * machine["cores"]:
        head += "\nthe machine was busy with other work, so times may be compared a little and are no measure of anything."
    page.write_text(f"{before}{mark}\n\n{head}\n\n```text\n{tables(record)}\n```\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program: 0 when measured, 2 when this machine cannot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prefix", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=1, help="with real engines")
    parser.add_argument(
        "--requests", type=positive, default=96, help="under each balancer in a round"
    )
    parser.add_argument("--simulate", action="store_true", help="start no engine")
    parser.add_argument("--json", type=Path, help="where the record goes")
    parser.add_argument("--page", type=Path, help="page whose tables are replaced")
    given = parser.parse_args(argv)
    try:
        record = run(given.rounds, given.requests, not given.simulate, print)
    except CannotMeasure as problem:
        print(f"benchmarks.prefix: {problem}", file=sys.stderr)
        return 2
    print(f"\n{tables(record)}\n\nBusiest home: its requests against the average.")
    if given.page:
        put_into_page(given.page, record)
    if given.json:
        given.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
