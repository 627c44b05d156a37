"""What each plugin of the pipeline costs: CPU microseconds per request, by the clock of the gateway's thread.

    .venv/bin/python -m benchmarks.pipeline [--requests 2000] [--rounds 15]

One gateway is put together in this process, without sockets: a request's context goes in, a home answers at once, bytes
come out. Each row has one plugin more than the row above it, set up as shipped but for plans with limits. All rows run in
every round, so that a busy machine slows all of them alike; the table shows each row's best round.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.arguments import positive
from hoonify_router.adapters.base import Adapter, Call, Job
from hoonify_router.answer import Answer
from hoonify_router.api import RequestContext, Vitals
from hoonify_router.catalog import Catalog
from hoonify_router.config.model import Config, LoadedConfig, ModelConfig, Pricing
from hoonify_router.gateway import Gateway
from hoonify_router.loader import build_pipeline, load_plugins, plugin_context
from hoonify_router.reply import Reply
from hoonify_router.types import HomeView, RoutingTable, Usage

FULL = ("api_keys", "rate_limits", "usage", "metrics", "openai_errors")
MODEL = "bench"
KEY = "hoo_" + "b" * 40  # not well-formed: it is never looked for in the database
BODY = json.dumps(
    {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello! How are you?"}],
        "max_tokens": 64,
    }
).encode()
HEADERS = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}


class Nowhere(asyncio.WriteTransport):
    """A client's connection that takes everything."""

    def is_closing(self) -> bool:
        return False

    def write(self, data: object) -> None:
        pass


class AtOnce(Adapter):
    """A home that has answered as soon as it is asked."""

    kind = "worker"

    async def start(self, job: Job, answer: Answer) -> Call:
        answer.text("I am well.")
        answer.finish("stop")
        answer.count(Usage(12, 4))
        answer.complete()
        return self

    def cancel(self) -> None:
        pass

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def update(self, homes: Iterable[HomeView]) -> None:
        pass

    async def close(self) -> None:
        pass


class Entry:
    """One gateway with some of the plugins.

    Args:
        names: Which.
        folder: For its state.
        adapter: Speaks to the home; without one it has answered as soon as it is asked.
        address: Of the home.
        body: Of each request.
    """

    def __init__(
        self,
        names: Sequence[str],
        folder: Path,
        adapter: Adapter | None = None,
        address: str = "/x",
        body: bytes = BODY,
    ) -> None:
        self.names = names
        self._body = body
        adapter = adapter or AtOnce()
        kind: Any = adapter.kind
        folder.mkdir()
        sha256 = hashlib.sha256(KEY.encode()).hexdigest()
        limits = {"requests_per_minute": 10**9, "tokens_per_minute": 10**12}
        settings: dict[str, dict[str, Any]] = {
            "api_keys": {"keys": [{"name": "bench", "sha256": sha256, "plan": "bench"}]},
            "rate_limits": {"plans": {"bench": limits}},
        }
        model = ModelConfig("Bench", 4096, backend="echo", pricing=Pricing(1.0, 2.0))
        plugins = {name: given for name, given in settings.items() if name in names}
        config = Config({MODEL: model}, pipeline=list(names), plugins=plugins)
        loaded = LoadedConfig(folder / "router.yaml", config, folder)
        hooks = load_plugins(names_required=[*names, "echo"])
        context = plugin_context(loaded, folder)
        context = dataclasses.replace(context, vitals=self._vitals)
        for outcome in hooks.call("hoonify_startup", context=context):
            if outcome.error is not None:
                raise outcome.error
        catalog = Catalog(config, {})
        middleware = build_pipeline(hooks, loaded, context)
        self.gateway = Gateway(config, middleware, {kind: adapter}, catalog)
        home = HomeView(
            id=MODEL, model=MODEL, backend="echo", kind=kind, state="ready", address=address
        )
        self.gateway.on_table(RoutingTable(1, (home,)))

    def _vitals(self) -> Vitals:
        return self.gateway.vitals()

    async def measure(self, requests: int) -> float:
        """Return the microseconds per request."""
        transport, infer = Nowhere(), self.gateway.pipeline.infer
        began = time.thread_time()
        for _ in range(requests):
            ctx = RequestContext(
                "req-1",
                "POST",
                "/v1/chat/completions",
                HEADERS,
                "127.0.0.1",
                time.perf_counter(),
                self._body,
            )
            await infer(ctx, Reply(transport, ctx.response_headers), "chat")
            if ctx.status != 200:
                raise RuntimeError(f"a request failed: {ctx.error!r}")
        return (time.thread_time() - began) / requests * 1e6


async def run(requests: int, rounds: int, report: Callable[[str], object]) -> dict[str, float]:
    """Measure, report a table, and return the microseconds of each row by its last plugin."""
    with tempfile.TemporaryDirectory(prefix="hoonify-bench-") as folder:
        entries = [Entry(FULL[:count], Path(folder) / str(count)) for count in range(len(FULL) + 1)]
        best = [float("inf")] * len(entries)
        for entry in entries:
            await entry.gateway.start()
            await entry.measure(requests // 4)
        for _ in range(rounds):
            for number, entry in enumerate(entries):
                best[number] = min(best[number], await entry.measure(requests))
        for entry in entries:
            await entry.gateway.stop()
    names = ["empty", *FULL]
    report(f"{'pipeline':<16}{'µs/request':>12}{'adds':>8}")
    for number, name in enumerate(names):
        adds = best[number] - best[number - 1] if number else 0.0
        report(f"{name if not number else '+ ' + name:<16}{best[number]:>12.1f}{adds:>8.1f}")
    report(f"{'full - empty':<16}{best[-1] - best[0]:>12.1f}")
    return dict(zip(names, best, strict=True))


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument("--requests", type=positive, default=2000, help="in each measurement")
    parser.add_argument("--rounds", type=positive, default=15)
    given = parser.parse_args()
    asyncio.run(run(given.requests, given.rounds, print))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
