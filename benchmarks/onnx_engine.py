"""How fast the ONNX Runtime engine is, and how much of it is the model.

    .venv/bin/python benchmarks/onnx_engine.py [--model models/tiny-chat/onnx] [--rounds 12] [--threads 1]

Every entry runs in every round, so that a busy machine slows all of them alike: compare rows, mostly by
the last column, and take the absolute numbers with care. "model" is the bare call of ONNX Runtime,
"scheduler" adds sampling, text and policy, "engine" adds the thread, the event loop and one coroutine per
stream: what a worker process does.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.detokenizer import Detokenizer
from hoonify_backends.generation.sampling import Sampling
from hoonify_backends.onnxruntime.engine import OnnxEngine
from hoonify_backends.onnxruntime.loading import LoadedModel, load_model
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_backends.onnxruntime.scheduler import Job, Scheduler
from hoonify_router.types import ChatRequest, Message

STREAMS = (1, 8)
STEPS = 64
PROMPT = list(range(3, 43))
SAMPLED = {"temperature": 0.7, "top_p": 0.9, "top_k": 40}
KINDS: dict[str, dict[str, float]] = {
    "greedy": {"temperature": 0.0},
    "sampled": SAMPLED,
    "top_p only": {"temperature": 0.7, "top_p": 0.9, "top_k": 0},
    "free": {"temperature": 1.0, "top_p": 1.0, "top_k": 0},
    "penalties": {"temperature": 0.0, "frequency_penalty": 0.5, "presence_penalty": 0.5},
    "top_logprobs 5": {"temperature": 0.0, "top_logprobs": 5},
}

Measure = Callable[[], Awaitable[float]]


def model_steps(loaded: LoadedModel, streams: int) -> Measure:
    """Return a measurement of bare decode calls: seconds per step."""

    async def measure() -> float:
        model = loaded.model
        for row in range(streams):
            model.prefill(row, PROMPT, 0)
        started = time.perf_counter()
        for step in range(STEPS):
            model.decode([5] * streams, [len(PROMPT) + step] * streams)
        return (time.perf_counter() - started) / STEPS

    return measure


def scheduler_steps(
    loaded: LoadedModel, texts: Detokenizer, streams: int, wishes: dict[str, float]
) -> Measure:
    """Return a measurement of the scheduler's decode steps."""

    async def measure() -> float:
        scheduler = Scheduler(loaded.model, prefill_chunk=256, reuse_prefixes=False)
        rest = dict(wishes)
        watched: Any = rest.pop("top_logprobs", None)
        for _ in range(streams):
            chooser = Chooser(Sampling(**rest), PROMPT, watched=watched)  # type: ignore[arg-type]
            limit, told = STEPS + streams + 1, watched is not None
            answer = Answer(texts.new(), limit=limit, told=told)
            scheduler.submit(Job(list(PROMPT), chooser, answer))
        while any(job is None or not job.decoding for job in scheduler._rows[:streams]):
            scheduler.step()
        started = time.perf_counter()
        for _ in range(STEPS // 2):
            scheduler.step()
        return (time.perf_counter() - started) / (STEPS // 2)

    return measure


def engine_steps(
    engine: OnnxEngine, streams: int, wishes: dict[str, float], *, n: int = 1
) -> Measure:
    """Return a measurement of whole answers through the engine, prompts included."""
    request = ChatRequest(
        "bench",
        [Message("user", "Count from 1 to 50.")],
        max_tokens=STEPS,
        ignore_eos=True,
        n=n,
        **wishes,  # type: ignore[arg-type]
    )

    async def answer() -> None:
        async for _ in engine.generate(request):
            pass

    async def measure() -> float:
        started = time.perf_counter()
        await asyncio.gather(*(answer() for _ in range(streams)))
        return (time.perf_counter() - started) / STEPS

    return measure


async def run(model: Path, rounds: int, threads: int) -> None:
    """Measure everything and print the table."""
    options = OnnxOptions(str(model), provider="cpu", slots=max(STREAMS), threads=threads)
    loaded = load_model(options, logging.getLogger(), lambda stage: None)
    from tokenizers import Tokenizer

    texts = Detokenizer(Tokenizer.from_file(str(loaded.folder.tokenizer)))
    engine = OnnxEngine()
    await engine.load(options, lambda stage, done, total: None)
    entries: dict[tuple[int, str], Measure] = {}
    for streams in STREAMS:
        entries[streams, "model"] = model_steps(loaded, streams)
        for kind, wishes in KINDS.items():
            entries[streams, f"scheduler, {kind}"] = scheduler_steps(loaded, texts, streams, wishes)
        for kind in ("greedy", "sampled"):
            entries[streams, f"engine, {kind}"] = engine_steps(engine, streams, KINDS[kind])
    most = max(STREAMS)
    entries[most, f"engine, one n={most}"] = engine_steps(engine, 1, KINDS["greedy"], n=most)
    seconds: dict[tuple[int, str], list[float]] = {entry: [] for entry in entries}
    for _ in range(rounds):
        for entry, measure in entries.items():
            seconds[entry].append(await measure())
    await engine.close()
    print(f"{'streams':>7}  {'what':24} {'µs per step':>11} {'tokens/s':>9} {'x model':>8}")
    for (streams, what), times in seconds.items():
        step = statistics.median(times)
        ratio = statistics.median(
            mine / bare for mine, bare in zip(times, seconds[streams, "model"], strict=True)
        )
        print(f"{streams:7}  {what:24} {step * 1e6:11.0f} {streams / step:9.0f} {ratio:8.2f}")


def main() -> None:
    """Read the arguments and run."""
    root = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", type=Path, default=root / "models" / "tiny-chat" / "onnx")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.model, arguments.rounds, arguments.threads))


if __name__ == "__main__":
    main()
