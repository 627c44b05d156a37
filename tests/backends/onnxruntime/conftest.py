"""The shipped model, a reference that knows no tricks, and stand-ins for what tests do not need."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from hoonify_backends.onnxruntime.engine import OnnxEngine
from hoonify_backends.onnxruntime.loading import LoadedModel, load_model
from hoonify_backends.onnxruntime.options import OnnxOptions


@pytest.fixture(scope="session")
def options(model_path: Path) -> OnnxOptions:
    """Options that suit a small model on a busy machine."""
    return OnnxOptions(str(model_path), provider="cpu", slots=4, threads=1)


@pytest.fixture(scope="session")
def loaded(options: OnnxOptions) -> LoadedModel:
    """The shipped model with four slots."""
    return load_model(options, logging.getLogger(__name__), lambda stage: None)


@pytest.fixture(scope="session")
def prompts(tokenizer: Any) -> list[list[int]]:
    """Chat prompts of different length, as tokens."""
    turns = [
        "Hello!",
        "What is a KV cache?",
        "Count from 1 to 12.",
        "Write a short story about a fox who lives in a green forest and finds an old letter.",
        "Name three animals.",
        "Repeat after me: " + "the quiet robot sings outside and " * 12,
    ]
    return [
        tokenizer.encode(
            f"<|im_start|>user\n{turn}<|im_end|>\n<|im_start|>assistant\n",
            add_special_tokens=False,
        ).ids
        for turn in turns
    ]


class Reference:
    """The same graph without any trick: every step reads everything anew, one request, no memory kept."""

    def __init__(self, loaded: LoadedModel) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            loaded.folder.graph, settings, providers=["CPUExecutionProvider"]
        )
        decoder = loaded.folder.config.model.decoder
        nothing = np.zeros((1, decoder.num_key_value_heads, 0, decoder.head_size), np.float32)
        self._past = {
            entry.name: nothing
            for entry in self._session.get_inputs()
            if entry.name.startswith("past")
        }

    def scores(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the scores after the last token."""
        feeds = {"input_ids": np.array([tokens]), "attention_mask": np.ones((1, len(tokens)), int)}
        scores: NDArray[np.float32] = self._session.run(["logits"], feeds | self._past)[0][0, -1]
        return scores

    def greedy(self, prompt: Sequence[int], count: int) -> list[int]:
        """Return the ``count`` likeliest next tokens, one after another."""
        tokens = list(prompt)
        for _ in range(count):
            tokens.append(int(self.scores(tokens).argmax()))
        return tokens[len(prompt) :]


@pytest.fixture(scope="session")
def reference(loaded: LoadedModel) -> Reference:
    """Plain ONNX Runtime on the shipped model."""
    return Reference(loaded)


class FakeModel:
    """A model whose next token follows from all tokens before it, held in rows as a real one holds keys.

    A row that is not read, moved or left alone as it should be gives another token than it gives alone.
    """

    vocabulary = 97

    def __init__(
        self,
        slots: int = 3,
        context_length: int = 64,
        can_swap: bool = True,
        can_copy: bool = True,
    ) -> None:
        self.slots = slots
        self.context_length = context_length
        self.can_swap, self.can_copy = can_swap, can_copy
        self.rows = np.full((slots, context_length), -1)
        self.calls: list[tuple[str, Any]] = []
        self.failures: list[Exception] = []

    def after(self, tokens: Sequence[int]) -> int:
        """Return the token that follows."""
        return int(sum((i + 3) * (t + 1) for i, t in enumerate(tokens)) * 31 % self.vocabulary)

    def prefill(self, row: int, tokens: Sequence[int], start: int) -> NDArray[np.float32]:
        self._called("prefill", (row, len(tokens), start))
        self.rows[row, start : start + len(tokens)] = tokens
        return self._scores([(row, start + len(tokens))])

    def decode(self, tokens: Sequence[int], places: Sequence[int]) -> NDArray[np.float32]:
        self._called("decode", len(tokens))
        self.rows[np.arange(len(tokens)), places] = tokens
        return self._scores([(row, place + 1) for row, place in enumerate(places)])

    def swap(self, first: int, second: int, length: int) -> None:
        self._called("swap", (first, second))
        self.rows[[first, second], :length] = self.rows[[second, first], :length]

    def copy(self, source: int, target: int, length: int) -> None:
        self._called("copy", (source, target))
        self.rows[target, :length] = self.rows[source, :length]

    def _called(self, name: str, what: Any) -> None:
        self.calls.append((name, what))
        if self.failures:
            raise self.failures.pop()

    def _scores(self, ends: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        scores = np.zeros((len(ends), self.vocabulary), np.float32)
        for i, (row, end) in enumerate(ends):
            scores[i, self.after(self.rows[row, :end].tolist())] = 1
        return scores


@pytest.fixture
def fake_model() -> type[FakeModel]:
    """The class of the stand-in for a model."""
    return FakeModel


@pytest.fixture
async def start(options: OnnxOptions) -> AsyncIterator[Callable[..., Any]]:
    """Start engines with some options changed; they are closed after the test."""
    engines: list[OnnxEngine] = []

    async def start_one(**changes: Any) -> OnnxEngine:
        engine = OnnxEngine(on_fatal=lambda: None)
        engines.append(engine)
        await engine.load(msgspec.structs.replace(options, **changes), lambda *stage: None)
        return engine

    yield start_one
    for engine in engines:
        await engine.close()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Any]:
    """Wait for what another thread does; pytest's timeout ends a wait in vain."""

    async def wait(condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 - the engine has no event for each of these
            await asyncio.sleep(0.001)

    return wait
