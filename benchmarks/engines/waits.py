"""How long a short prompt waits for a long one, and how long running streams pause for it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.engines.ways import GREEDY, Setting, chat
from hoonify_backends.onnxruntime.engine import OnnxEngine
from hoonify_router.types import Text

CHUNKS = {"chunked, 256 tokens": 256, "not chunked": 1024}
_WORDS = 870  # as many tokens; with the answer nearly all of the context
_HEAD_START = 0.002  # seconds by which the long prompt is there first

Waits = dict[str, float]
"""Milliseconds, by what they are."""


class Waiting:
    """An engine that reads prompts in chunks of one size.

    Args:
        setting: The model.
        chunk: Tokens of prompts that it reads at a time.
    """

    def __init__(self, setting: Setting, chunk: int) -> None:
        self._options = setting.engine_options(prefill_chunk=chunk, reuse_prefixes=False)
        self._engine = OnnxEngine()

    async def open(self) -> None:
        """Load the model."""
        await self._engine.load(self._options, lambda *stage: None)

    async def close(self) -> None:
        """Leave nothing behind."""
        await self._engine.close()

    async def measure(self) -> Waits:
        """Ask a short question 2 ms after one of 870 tokens, alone and beside two running streams."""
        long, short = await self._ask_both()
        streams = [asyncio.create_task(self._stream(number)) for number in range(2)]
        await asyncio.sleep(0.02)
        busy_long, busy_short = await self._ask_both()
        pauses = await asyncio.gather(*streams)
        return {
            "short prompt's first token": short,
            "long prompt's first token": long,
            "short prompt's first token, two streams beside": busy_short,
            "long prompt's first token, two streams beside": busy_long,
            "longest pause of the two streams": max(pauses),
        }

    async def _ask_both(self) -> tuple[float, float]:
        long = asyncio.create_task(self._first(" ".join(["one two"] * (_WORDS // 2))))
        await asyncio.sleep(_HEAD_START)
        short = asyncio.create_task(self._first("Hello!"))
        return await long, await short

    async def _first(self, text: str) -> float:
        began = time.perf_counter()
        wishes: dict[str, Any] = {**GREEDY}
        events = self._engine.generate(chat(0, wishes, text))
        async for event in events:
            if type(event) is Text:
                break
        waited = time.perf_counter() - began
        await events.aclose()  # type: ignore[attr-defined]  # an iterator by contract, a generator here
        return waited * 1000

    async def _stream(self, number: int) -> float:
        """Read a stream to its end and return the longest time between two texts."""
        longest, last = 0.0, 0.0
        async for event in self._engine.generate(chat(number, GREEDY)):
            if type(event) is Text:
                now = time.perf_counter()
                longest, last = max(longest, now - last if last else 0.0), now
        return longest * 1000
