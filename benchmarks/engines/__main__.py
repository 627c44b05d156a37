"""How fast the ONNX Runtime engine is beside a plain loop and onnxruntime-genai, and what waits and copies cost.

    .venv/bin/python -m benchmarks.engines [--rounds 6] [--threads N] [--json FILE] [--page FILE]

Every way makes answers of 128 tokens to prompts of about 20, for 1 to 16 streams at once, greedy and sampled; reading the
prompt counts. All ways run in every round, one after another, so that a busy machine slows all of them alike: compare
rows, and take the absolute numbers with care. CPU is what the process that makes the tokens spends on each (for the
router its whole tree), which hardly depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import importlib.metadata
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.arguments import positive
from benchmarks.engines import others, served, ways
from benchmarks.engines.bare import measure_operators, measure_steps
from benchmarks.engines.copies import rows_allocated
from benchmarks.engines.table import Rates, put_into_page, written
from benchmarks.engines.waits import CHUNKS, Waiting
from benchmarks.engines.ways import GREEDY, SAMPLED, STREAMS, TOKENS, Setting, Way
from benchmarks.native import CannotMeasure
from benchmarks.report import machine_facts

_KINDS = {"greedy": GREEDY, "sampled": SAMPLED}
_BEST_LOOP = others.BoundLoop.name
_ROOT = Path(__file__).resolve().parents[2]
_COPIED = {
    "greedy": GREEDY,
    "sampled": SAMPLED,
    "top_p alone": {**SAMPLED, "top_k": 0},
    "penalties": {**GREEDY, "frequency_penalty": 0.5},
}


class Speeds:
    """Seconds and CPU seconds of every round, by way, kind and number of streams."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, str, int], list[tuple[float, float]]] = defaultdict(list)

    async def note(self, way: Way, kind: str, streams: int) -> None:
        """Let a way answer once."""
        cpu, began = way.cpu(), time.perf_counter()
        await way.answer(streams, _KINDS[kind])
        took = time.perf_counter() - began
        self._rounds[way.name, kind, streams].append((took, way.cpu() - cpu))

    def rates(self) -> Rates:
        """Return the tokens per second of the median round."""
        return self._table(lambda streams, took, cpu: streams * TOKENS / took)

    def best(self) -> Rates:
        """Return the tokens per second of the best round."""
        return self._table(lambda streams, took, cpu: streams * TOKENS / took, max)

    def cpu(self) -> Rates:
        """Return the CPU microseconds per token of the median round."""
        return self._table(lambda streams, took, cpu: cpu * 1e6 / streams / TOKENS)

    def ratio(self, way: str, other: str) -> float:
        """Return the median of how much faster a way is with one greedy stream than another in the same round."""
        mine, yours = (self._rounds[name, "greedy", 1] for name in (way, other))
        return statistics.median(b[0] / a[0] for a, b in zip(mine, yours, strict=True))

    def scaling(self, way: str, kind: str, streams: int = 8) -> float:
        """Return the median of how much more tokens many streams get than one in the same round."""
        one, many = (self._rounds[way, kind, count] for count in (1, streams))
        return statistics.median(streams * a[0] / b[0] for a, b in zip(one, many, strict=True))

    def _table(self, of: Any, choose: Any = statistics.median) -> Rates:
        table: Rates = {}
        for (way, kind, streams), rounds in self._rounds.items():
            value = choose(of(streams, *one) for one in rounds)
            table.setdefault(way, {}).setdefault(kind, {})[streams] = round(value, 1)
        return table


async def measure_speeds(setting: Setting, rounds: int, folder: Path) -> tuple[Speeds, list[str]]:
    """Measure all ways; return what they did, and why some did nothing."""
    missing: list[str] = []
    speeds = Speeds()
    async with AsyncExitStack() as stack:
        entries: list[Way] = []
        candidates: list[Way] = [
            others.PlainLoop(setting),
            others.BoundLoop(setting),
            others.Genai(setting),
            others.GenaiAsItIs(setting),
            ways.SchedulerAlone(setting),
            ways.EngineHere(setting),
            served.BehindSocket(setting, folder),
            served.WholeRouter(setting, folder),
        ]
        for way in candidates:
            try:
                await way.open()
            except CannotMeasure as problem:
                missing.append(f"{way.name}: {problem}")
                continue
            stack.push_async_callback(way.close)
            entries.append(way)
            for streams in way.streams:  # buffers, caches, connections: not part of round one
                await way.answer(streams, GREEDY)
        for number in range(rounds):
            print(f"round {number + 1}/{rounds}", flush=True)
            for kind in _KINDS:
                for streams in STREAMS:
                    for way in entries:
                        if streams in way.streams and (way.samples or kind == "greedy"):
                            await speeds.note(way, kind, streams)
                            await asyncio.sleep(way.lingers)
    return speeds, missing


async def measure_waits(setting: Setting, rounds: int) -> dict[str, dict[str, float]]:
    """Return the medians of the waits, by how prompts are read."""
    engines = {name: Waiting(setting, chunk) for name, chunk in CHUNKS.items()}
    seen: dict[str, list[dict[str, float]]] = defaultdict(list)
    for engine in engines.values():
        await engine.open()
        await engine.measure()
    for _ in range(rounds):
        for name, engine in engines.items():
            seen[name].append(await engine.measure())
    for engine in engines.values():
        await engine.close()
    return {
        name: {what: round(statistics.median(one[what] for one in all_), 2) for what in all_[0]}
        for name, all_ in seen.items()
    }


async def measure_copies(setting: Setting) -> dict[str, float]:
    """Return what a step of eight answers allocates, in rows of scores for each."""
    way = ways.SchedulerAlone(setting)
    await way.open()
    return {name: round(rows_allocated(way, 8, wishes), 2) for name, wishes in _COPIED.items()}


async def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything."""
    options = {} if arguments.threads is None else {"threads": arguments.threads}
    setting = Setting(arguments.model, options, ways.read_prompts(arguments.model))
    with tempfile.TemporaryDirectory(prefix="engines-") as folder:
        speeds, missing = await measure_speeds(setting, arguments.rounds, Path(folder))
        operators = measure_operators(setting, Path(folder))
    rates = speeds.rates()
    facts = machine_facts()
    for library in ("onnxruntime", "onnxruntime-genai", "numpy", "tokenizers"):
        try:
            facts["versions"][library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    several = [name for name, kinds in rates.items() if 8 in kinds["greedy"]]
    return {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": facts,
        "settings": {"rounds": arguments.rounds, "tokens": TOKENS, "engine_options": options},
        "tokens_per_second": rates,
        "best_tokens_per_second": speeds.best(),
        "cpu_us_per_token": speeds.cpu(),
        "one_stream_times_plain_loop": {
            name: round(speeds.ratio(name, _BEST_LOOP), 3) for name in rates
        },
        "eight_streams_times_one": {
            name: {kind: round(speeds.scaling(name, kind), 2) for kind in _KINDS}
            for name in several
        },
        "model_step_us": measure_steps(setting, arguments.rounds),
        "operators_us": operators,
        "waits_ms": await measure_waits(setting, 2 * arguments.rounds),
        "rows_allocated": await measure_copies(setting),
        "missing": missing,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Read the arguments, measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, default=_ROOT / "models" / "tiny-chat" / "onnx")
    parser.add_argument(
        "--rounds", type=positive, default=6, help="how often everything is measured"
    )
    parser.add_argument("--threads", type=positive, help="of the engine; default: its own choice")
    parser.add_argument("--json", type=Path, help="where the record goes")
    parser.add_argument(
        "--page", type=Path, help="a page of the documentation to put the tables into"
    )
    arguments = parser.parse_args(argv)
    record = asyncio.run(run(arguments))
    print(written(record))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    if arguments.page is not None:
        put_into_page(arguments.page, record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
