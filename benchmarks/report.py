"""Medians over the rounds, the table, and the record with the machine's facts."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import statistics
import subprocess
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.scenarios import Readings

Round = dict[str, Readings]
"""The readings of one round, by entry."""

COSTS = {
    "cpu_request_us": "CPU per request, µs",
    "cpu_long_prompt_us": "CPU per request, 32 KB prompt, µs",
    "cpu_stream_start_us": "CPU per stream of one token, µs",
    "cpu_chunk_paced_us": "CPU per chunk, 20 streams at 10 ms, µs",
    "cpu_chunk_burst_us": "CPU per chunk, 64 streams at 2 ms, µs",
}
"""Compared as ratios, gateway against gateway."""

WAITS = {
    "latency_p50_us": "answer p50, µs",
    "latency_p99_us": "answer p99, µs",
    "first_token_p50_us": "first token p50, µs",
    "first_token_p99_us": "first token p99, µs",
    "transit_paced_p50_us": "chunk at 10 ms p50, µs",
    "transit_paced_p99_us": "chunk at 10 ms p99, µs",
}
"""Compared as what is added to the direct way in the same round."""

PLAIN = {
    "requests_per_second": "requests per second, one core",
    "memory_mib": "memory at start, MiB",
    "idle_cpu_ms": "CPU while idle, ms per second",
}


def added(rounds: list[Round], name: str, entry: str) -> float:
    """Return the median of how much more ``entry`` took than the direct way in the same round."""
    return statistics.median(one[entry][name] - one["direct"][name] for one in rounds)


def median(rounds: list[Round], name: str, entry: str) -> float:
    """Return the median of one quantity of one entry."""
    return statistics.median(one[entry][name] for one in rounds)


def build_table(rounds: list[Round], entries: list[str]) -> Table:
    """Return the comparison: a row per quantity, a column per entry, ratios to the first gateway."""
    gateways = [name for name in entries if name != "direct"]
    table = Table(title=f"medians of {len(rounds)} rounds", title_justify="left")
    table.add_column("")
    for name in entries:
        table.add_column(name, justify="right")
    for quantity, title in COSTS.items():
        base = median(rounds, quantity, gateways[0])
        cells = [f"{median(rounds, quantity, 'direct'):.1f}"]
        for name in gateways:
            value = median(rounds, quantity, name)
            cells.append(f"{value:.1f} ({value / base:.2f}x)" if base > 0 else f"{value:.1f}")
        table.add_row(title, *cells)
    table.add_section()
    for quantity, title in WAITS.items():
        cells = [f"{median(rounds, quantity, 'direct'):.0f}"]
        cells += [f"{added(rounds, quantity, name):+.0f}" for name in gateways]
        table.add_row(title, *cells)
    table.add_section()
    for quantity, title in PLAIN.items():
        table.add_row(title, *(f"{median(rounds, quantity, name):,.1f}" for name in entries))
    return table


def print_report(rounds: list[Round], entries: list[str], console: Console) -> None:
    """Print the table and how to read it."""
    console.print(build_table(rounds, entries))
    console.print(
        "CPU is what the entry's whole process tree spent (for `direct`: the mock). Waits are the mock's own\n"
        "under `direct`, and what is added to them elsewhere. Differences under 15 % mean nothing here.",
        highlight=False,
    )


def build_record(
    rounds: list[Round], entries: list[str], settings: dict[str, Any], machine: dict[str, Any]
) -> dict[str, Any]:
    """Return everything worth keeping of a run, ready for JSON."""
    quantities = [*COSTS, *WAITS, *PLAIN]
    return {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "settings": settings,
        "medians": {
            entry: {name: round(median(rounds, name, entry), 2) for name in quantities}
            for entry in entries
        },
        "added": {
            entry: {name: round(added(rounds, name, entry), 2) for name in WAITS}
            for entry in entries
            if entry != "direct"
        },
        "rounds": rounds,
    }


def machine_facts() -> dict[str, Any]:
    """Return what a reader needs to know of the machine and the versions; asked before anything is measured."""
    versions = {
        name: importlib.metadata.version(name)
        for name in ("hoonify-router", "sanic", "uvloop", "httptools", "msgspec")
    }
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": _load_average(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "commit": _commit(),
    }


def at_the_end(machine: dict[str, Any]) -> dict[str, Any]:
    """Return the facts with how busy the machine is now, when all has been measured."""
    return {**machine, "load_average_end": _load_average()}


def _load_average() -> list[float]:
    return [round(value, 2) for value in os.getloadavg()]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
