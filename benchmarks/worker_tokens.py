"""What a token of an engine worker costs the router: CPU of its processes, the worker's own left out.

    .venv/bin/python -m benchmarks.worker_tokens [--rounds 5] [--seconds 2] [--json FILE]

A real ``hoonify-router serve`` with the shipped pipeline has one home, the test instrument ``echo`` in a worker process.
Streams run side by side, at a token every 10 ms and as fast as worker and router go; what ends up in the table is the CPU
time of all processes but the worker, divided by the tokens that clients have read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.arguments import positive, seconds
from benchmarks.entries import MODEL, Router
from benchmarks.processes import Cores, on_cores, spent

FULL = ("api_keys", "rate_limits", "usage", "metrics", "openai_errors")
LOADS = {"64 streams, a token every 10 ms": (64, 0.01), "16 streams as fast as they go": (16, 0.0)}
_CONTENT = b'"content":'


class Echo(Router):
    """A router whose only home is a worker."""

    def _config(self) -> dict[str, Any]:
        config = super()._config()
        config["models"][MODEL] = {
            "provider": "Bench",
            "context_length": 100_000,
            "backend": "echo",
            "options": {"slots": 64},
        }
        return config

    def processes(self) -> dict[int, float]:
        """Return the CPU seconds of the router's processes so far."""
        return {
            pid: seconds
            for pid, seconds in self.tree.cpu_seconds().items()
            if b"hoonify_router.worker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        }


async def read_stream(entry: Echo, tokens: int, delay: float) -> int:
    """Read one stream to its end; return how many events with a text it had."""
    prompt = f"[[repeat {tokens}]] [[delay {delay}]] word"
    body = json.dumps(
        {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": prompt}]}
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", entry.port, limit=1 << 20)
    try:
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {entry.key}\r\n"
            "connection: close\r\ncontent-type: application/json\r\n"
        )
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        data = await reader.read(-1)
    finally:
        writer.close()
    if not data.startswith(b"HTTP/1.1 200") or b"data: [DONE]" not in data:
        raise RuntimeError(f"a stream failed: {data[:300]!r}")
    return data.count(_CONTENT) - 1  # the role has one, too


async def measure(entry: Echo, streams: int, delay: float, seconds: float) -> float:
    """Return the microseconds per event."""
    tokens = int(seconds / delay) if delay else int(seconds * 400)
    before = entry.processes()
    read = await asyncio.gather(*[read_stream(entry, tokens, delay) for _ in range(streams)])
    return spent(before, entry.processes()) * 1e6 / sum(read)


async def run(rounds: int, seconds: float) -> dict[str, float]:
    """Measure, print a table, and return the microseconds by load."""
    cores = Cores.chosen()
    with tempfile.TemporaryDirectory(prefix="hoonify-bench-") as folder, on_cores(cores.load):
        entry = Echo("echo", cores, Path(folder) / "echo", FULL, 0)
        try:
            await measure(entry, 4, 0.0, 0.2)
            found: dict[str, list[float]] = {name: [] for name in LOADS}
            for _ in range(rounds):
                for name, (streams, delay) in LOADS.items():
                    found[name].append(await measure(entry, streams, delay, seconds))
        finally:
            entry.tree.stop()
    for name, costs in found.items():
        print(f"{name:<36} median {statistics.median(costs):6.1f} µs  least {min(costs):6.1f} µs")
    return {name: statistics.median(costs) for name, costs in found.items()}


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker_tokens", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--seconds", type=seconds, default=2.0, help="of each load")
    parser.add_argument("--json", type=Path, help="where the record goes")
    given = parser.parse_args()
    measured = asyncio.run(run(given.rounds, given.seconds))
    if given.json is not None:
        given.json.write_text(json.dumps(measured, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
