"""The loads, and what each tells about an entry."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.entries import Entry
from benchmarks.native import CannotMeasure, Programs
from benchmarks.processes import on_cores, spent

Readings = dict[str, float]
"""What was measured, by the name of the quantity."""

PAUSE_PACED_US = 10_000
PAUSE_BURST_US = 2_000


@dataclass(frozen=True)
class Meter:
    """Runs the load generator against one entry.

    Args:
        programs: The compiled programs.
        entry: What is loaded.
        seconds: How long each load lasts.
    """

    programs: Programs
    entry: Entry
    seconds: float

    @property
    def rate(self) -> int:
        """Return how many requests a second are a light load."""
        return 20 if self.entry.slow else 100

    def load(self, *arguments: object) -> tuple[dict[str, Any], float]:
        """Run one load; return what it saw and the CPU seconds that the entry's processes spent.

        Raises:
            CannotMeasure: A request failed or a stream was cut: such a run measures nothing.
        """
        entry = self.entry
        patience = self.seconds + 120
        command = [str(self.programs.load), "--port", str(entry.port), "--model", entry.model]
        if entry.key:
            command += ["--key", entry.key]
        for line in entry.headers:
            command += ["--header", line]
        before = entry.tree.cpu_seconds()
        command += map(str, arguments)
        with on_cores(entry.cores.load):
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=patience)
            except subprocess.TimeoutExpired:
                raise CannotMeasure(
                    f"{entry.name}: no end of the load after {patience:.0f} s"
                ) from None
        cost = spent(before, entry.tree.cpu_seconds())
        seen = json.loads(done.stdout)
        if seen["failed"] or seen["short"] or not seen["answered"]:
            raise CannotMeasure(
                f"{entry.name}: of {seen['answered'] + seen['failed'] + seen['short']} requests "
                f"{seen['failed']} failed and {seen['short']} streams were cut short: {seen['first_error']}"
            )
        return seen, cost

    def streams(self, count: int, pause_us: int) -> tuple[dict[str, Any], float]:
        """Run ``count`` streams at the same time, with a token every ``pause_us``."""
        tokens = max(2, int(self.seconds * 1e6 / pause_us))
        if self.entry.slow:  # it would come to no end
            tokens = min(tokens, 100)
        shape = ("--stream", "--tokens", tokens, "--pause-us", pause_us)
        return self.load(
            *("--connections", count, "--requests", count, "--seconds", self.seconds + 1),
            *shape,
            *("--ramp-ms", pause_us // 1000),
        )


def requests(meter: Meter) -> Readings:
    """Small requests and answers, as fast as they go."""
    seen, cost = meter.load("--connections", 16, "--seconds", meter.seconds)
    return {
        "cpu_request_us": cost * 1e6 / seen["answered"],
        "requests_per_second": seen["answered"] / seen["seconds"],
    }


def long_prompts(meter: Meter) -> Readings:
    """The same with 32 KB of prompt."""
    seen, cost = meter.load("--connections", 16, "--seconds", meter.seconds, "--padding", 32 * 1024)
    return {"cpu_long_prompt_us": cost * 1e6 / seen["answered"]}


def streams(meter: Meter) -> Readings:
    """Streams of one token, then paced ones: what a chunk costs is what the starts do not explain."""
    started, cost = meter.load(
        "--connections", 16, "--seconds", meter.seconds, "--stream", "--tokens", 1
    )
    start_us = cost * 1e6 / started["answered"]
    readings = {"cpu_stream_start_us": start_us}
    for name, count, pause_us in (("paced", 20, PAUSE_PACED_US), ("burst", 64, PAUSE_BURST_US)):
        seen, cost = meter.streams(count, pause_us)
        readings[f"cpu_chunk_{name}_us"] = (cost * 1e6 - count * start_us) / seen["tokens"]
        readings[f"transit_{name}_p50_us"] = seen["transit_us"]["p50"]
        readings[f"transit_{name}_p99_us"] = seen["transit_us"]["p99"]
    return readings


def latency(meter: Meter) -> Readings:
    """A light open load: what a user waits longer because of the gateway."""
    seen, _ = meter.load("--connections", 16, "--seconds", meter.seconds, "--rate", meter.rate)
    return {
        "latency_p50_us": seen["latency_us"]["p50"],
        "latency_p99_us": seen["latency_us"]["p99"],
    }


def first_token(meter: Meter) -> Readings:
    """The same for streams: how much later the first token comes."""
    seen, _ = meter.load(
        *("--connections", 16, "--seconds", meter.seconds, "--rate", meter.rate // 2),
        *("--stream", "--tokens", 4, "--pause-us", 5000),
    )
    return {
        "first_token_p50_us": seen["first_token_us"]["p50"],
        "first_token_p99_us": seen["first_token_us"]["p99"],
    }


SCENARIOS: tuple[Callable[[Meter], Readings], ...] = (
    requests,
    long_prompts,
    streams,
    latency,
    first_token,
)
