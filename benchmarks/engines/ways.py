"""Ways to get tokens out of one model: what they have in common, and ours in this process."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.detokenizer import Detokenizer
from hoonify_backends.generation.sampling import Sampling
from hoonify_backends.onnxruntime.engine import OnnxEngine
from hoonify_backends.onnxruntime.loading import LoadedModel, load_model
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_backends.onnxruntime.scheduler import Job, Scheduler
from hoonify_router.types import ChatRequest, Message

STREAMS = (1, 2, 4, 8, 16)
TOKENS = 128
"""Of every answer."""

GREEDY: dict[str, Any] = {"temperature": 0.0}
SAMPLED: dict[str, Any] = {"temperature": 0.7, "top_p": 0.9, "top_k": 40}


def question(stream: int) -> str:
    """Return what a stream asks: no two alike, so that none is spared by another's prompt."""
    return f"Count from {stream + 1} to 90, then back."


def read_prompts(model: Path) -> list[list[int]]:
    """Return what the streams ask, as tokens, for ways without a chat template."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    texts = [f"<|user|>{question(stream)}<|end|><|assistant|>" for stream in range(max(STREAMS))]
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


@dataclass(frozen=True)
class Setting:
    """What all ways have in common.

    Args:
        model: Folder of the model.
        options: What the engine is told besides.
        prompts: The prompts of each stream, as tokens.
    """

    model: Path
    options: dict[str, Any]
    prompts: list[list[int]] = field(default_factory=list)

    def engine_options(self, **more: Any) -> OnnxOptions:
        """Return the engine's options."""
        fields = {"provider": "cpu", "slots": max(STREAMS), **self.options, **more}
        return OnnxOptions(str(self.model), **fields)


class Way(ABC):
    """One way.

    Args:
        setting: The model and the prompts.
    """

    name: ClassVar[str]
    streams: ClassVar[Sequence[int]] = STREAMS
    samples: ClassVar[bool] = True
    lingers: ClassVar[float] = 0.0
    """Seconds for which its threads go on spinning when all is answered."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    async def open(self) -> None:  # noqa: B027 - some need nothing
        """Get ready."""

    async def close(self) -> None:  # noqa: B027 - some need nothing
        """Leave nothing behind."""

    @abstractmethod
    async def answer(self, streams: int, wishes: dict[str, Any]) -> None:
        """Get ``TOKENS`` tokens for each of ``streams`` prompts."""

    def cpu(self) -> float:
        """Return the CPU seconds spent so far by whoever makes the tokens."""
        return time.process_time()


class SchedulerAlone(Way):
    """Our scheduler in this thread: batches, sampling, text, policy."""

    name = "our scheduler"

    async def open(self) -> None:
        from tokenizers import Tokenizer

        quiet = logging.getLogger(__name__)
        self.loaded: LoadedModel = load_model(
            self.setting.engine_options(), quiet, lambda stage: None
        )
        self.texts = Detokenizer(Tokenizer.from_file(str(self.loaded.folder.tokenizer)))

    def scheduler(self, streams: int, wishes: dict[str, Any], limit: int = TOKENS) -> Scheduler:
        """Return one that has as many answers to make."""
        scheduler = Scheduler(self.loaded.model, prefill_chunk=256)
        for prompt in self.setting.prompts[:streams]:
            answer = Answer(self.texts.new(), limit=limit)
            scheduler.submit(Job(list(prompt), Chooser(Sampling(**wishes), prompt), answer))
        return scheduler

    async def answer(self, streams: int, wishes: dict[str, Any]) -> None:
        scheduler = self.scheduler(streams, wishes)
        while scheduler.busy:
            scheduler.step()


def chat(stream: int, wishes: dict[str, Any], text: str | None = None) -> ChatRequest:
    """Return one stream's request."""
    said = [Message("user", text or question(stream))]
    return ChatRequest("bench", said, max_tokens=TOKENS, ignore_eos=True, **wishes)


class EngineHere(Way):
    """Our engine in this process: the scheduler's thread, the event loop, a coroutine for each stream."""

    name = "our engine"

    async def open(self) -> None:
        self._engine = OnnxEngine()
        await self._engine.load(self.setting.engine_options(), lambda *stage: None)

    async def close(self) -> None:
        await self._engine.close()

    async def answer(self, streams: int, wishes: dict[str, Any]) -> None:
        async def one(stream: int) -> None:
            async for _ in self._engine.generate(chat(stream, wishes)):
                pass

        await asyncio.gather(*map(one, range(streams)))
