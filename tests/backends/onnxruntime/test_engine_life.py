"""An engine's life: loading, what it says of itself, failing, closing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_backends.generation.parameters import PARAMETERS, TASKS
from hoonify_backends.onnxruntime.engine import OnnxEngine
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_router.errors import (
    EngineDead,
    ModelUnavailable,
    RouterError,
)
from hoonify_router.types import (
    ChatRequest,
    Message,
)

GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 24}
LONG: dict[str, Any] = {"temperature": 0, "ignore_eos": True, "max_tokens": 400}

Ask = Callable[..., Any]
Start = Callable[..., Any]


def nothing(stage: str, done: int, total: int) -> None:
    """Take no notice of progress."""


def user(text: str, **wishes: Any) -> ChatRequest:
    return ChatRequest("tiny-chat", [Message("user", text)], **wishes)


async def test_capabilities(start: Start) -> None:
    """What the engine honours, and where it really runs."""
    engine = await start(slots=3, max_length=128)
    able = engine.capabilities
    assert (able.slots, able.context_length, able.device) == (3, 128, "cpu")
    assert (able.parameters, able.tasks) == (PARAMETERS, TASKS)
    assert able.memory_bytes > 0
    assert able.details["provider"] == "CPUExecutionProvider"
    assert not able.parameters & {"suffix", "best_of", "functions", "reasoning_effort"}


async def test_loading_tells_its_stages(options: OnnxOptions) -> None:
    """Each resets the supervisor's timer."""
    stages: list[str] = []
    engine = OnnxEngine()
    await engine.load(options, lambda stage, done, total: stages.append(stage))
    await engine.close()
    assert "loading weights" in stages


async def test_what_cannot_be_loaded_is_one_of_our_errors(
    options: OnnxOptions, model_path: Path, tmp_path: Path
) -> None:
    """A broken graph, template or tokenizer says so, and the process lives."""
    for broken in ("model.onnx", "tokenizer.json", "chat_template.jinja"):
        folder = tmp_path / broken
        shutil.copytree(model_path, folder)
        (folder / broken).write_text("{% broken")
        with pytest.raises(ModelUnavailable):
            await OnnxEngine().load(msgspec.structs.replace(options, model=str(folder)), nothing)


async def test_nothing_is_served_before_or_after(options: OnnxOptions, ask: Ask) -> None:
    """An engine that is not loaded, or closed, says so; what runs at the end is told."""
    engine = OnnxEngine()
    with pytest.raises(ModelUnavailable):
        await ask(engine, "Hello!")
    with pytest.raises(ModelUnavailable):
        _ = engine.capabilities
    await engine.load(options, nothing)
    running = engine.generate(user("Hello!", **LONG))
    await anext(running)
    await engine.close()
    with pytest.raises(EngineDead):
        [event async for event in running]
    with pytest.raises(RouterError):
        await ask(engine, "Hello!")
    await engine.close()  # twice is fine


async def test_an_engine_beyond_repair_ends_its_process(options: OnnxOptions, ask: Ask) -> None:
    """Everyone is told first, nobody new is let in, and the supervisor starts another."""
    ended = asyncio.Event()
    engine = OnnxEngine(on_fatal=ended.set)
    await engine.load(options, nothing)
    assert engine._loaded is not None

    def fail(*args: Any) -> Any:
        raise RuntimeError("device lost")

    engine._loaded.model.prefill = fail  # type: ignore[method-assign]
    for _ in range(3):
        with pytest.raises(EngineDead):
            await ask(engine, "Hello!")
    with pytest.raises(EngineDead):
        await ask(engine, "Hello!")
    await asyncio.wait_for(ended.wait(), 10)
    await engine.close()
