"""What our engine is held against: loops as one writes them by hand, and onnxruntime-genai's generator."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.engines.ways import TOKENS, Way
from benchmarks.native import CannotMeasure


def plain_session(model: Path) -> Any:
    """Return a session as a plain program opens it: one thread, which is best for one stream here."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model / "model.onnx", settings, providers=["CPUExecutionProvider"]
    )


class PlainLoop(Way):
    """A greedy loop as in a tutorial: ``session.run``, keys and values handed back and forth."""

    name = "plain loop, session.run"
    streams = (1,)
    samples = False

    async def open(self) -> None:
        self._session = plain_session(self.setting.model)
        decoder = json.loads((self.setting.model / "genai_config.json").read_text())["model"][
            "decoder"
        ]
        self._shape = (1, decoder["num_key_value_heads"], 0, decoder["head_size"])

    async def answer(self, streams: int, wishes: dict[str, Any]) -> None:
        session = self._session
        pasts = [entry.name for entry in session.get_inputs() if entry.name.startswith("past")]
        wanted = ["logits", *(name.replace("past_key_values", "present") for name in pasts)]
        feeds: dict[str, Any] = dict.fromkeys(pasts, np.zeros(self._shape, np.float32))
        tokens = np.array([self.setting.prompts[0]], np.int64)
        seen = 0
        for _ in range(TOKENS):
            seen += tokens.shape[1]
            feeds["input_ids"] = tokens
            feeds["attention_mask"] = np.ones((1, seen), np.int64)
            scores, *presents = session.run(wanted, feeds)
            feeds.update(zip(pasts, presents, strict=True))
            tokens = scores[:, -1].argmax(axis=1)[:, None]


class BoundLoop(PlainLoop):
    """The best greedy loop there is: memory bound once, keys and values stay where they are."""

    name = "plain loop, bound memory"

    async def open(self) -> None:
        await super().open()
        heads, size = self._shape[1], self._shape[3]
        names = [e.name for e in self._session.get_inputs() if e.name.startswith("past")]
        longest = len(self.setting.prompts[0]) + TOKENS
        self._memory = {name: np.zeros((1, heads, 1024, size), np.float32) for name in names}
        self._mask = np.ones((1, longest), np.int64)
        self._token = np.zeros((1, 1), np.int64)
        vocabulary = self._session.get_outputs()[0].shape[2]
        self._scores = np.zeros((1, 1, vocabulary), np.float32)
        self._step = self._session.io_binding()
        self._bind(self._step)
        self._step.bind_cpu_input("input_ids", self._token)
        self._step.bind_output(
            "logits", "cpu", 0, np.float32, self._scores.shape, self._scores.ctypes.data
        )

    def _bind(self, binding: Any) -> None:
        for name, array in self._memory.items():
            where = ("cpu", 0, np.float32, array.shape, array.ctypes.data)
            binding.bind_input(name, *where)
            binding.bind_output(name.replace("past_key_values", "present"), *where)

    async def answer(self, streams: int, wishes: dict[str, Any]) -> None:
        prompt = self.setting.prompts[0]
        first = self._session.io_binding()
        self._bind(first)
        first.bind_cpu_input("input_ids", np.array([prompt], np.int64))
        first.bind_cpu_input("attention_mask", self._mask[:, : len(prompt)])
        first.bind_output("logits")
        self._session.run_with_iobinding(first)
        self._token[0, 0] = first.get_outputs()[0].numpy()[0, -1].argmax()
        for end in range(len(prompt) + 1, len(prompt) + TOKENS):
            self._step.bind_cpu_input("attention_mask", self._mask[:, :end])
            self._session.run_with_iobinding(self._step)
            self._token[0, 0] = self._scores.argmax()


class Genai(Way):
    """onnxruntime-genai's generator, all streams in lock-step and with the same wishes; token ids, no text."""

    name = "onnxruntime-genai, 1 thread"
    threads: ClassVar[int | None] = 1

    async def open(self) -> None:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            import onnxruntime_genai
        except ImportError as exc:
            raise CannotMeasure("onnxruntime-genai is not installed") from exc
        config = onnxruntime_genai.Config(str(self.setting.model))
        if self.threads is not None:
            session = {"intra_op_num_threads": self.threads}
            config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
        self._library = onnxruntime_genai
        self._model = onnxruntime_genai.Model(config)

    async def answer(self, streams: int, wishes: dict[str, Any]) -> None:
        prompts = self.setting.prompts[:streams]
        length = min(len(prompt) for prompt in prompts)
        settings = self._library.GeneratorParams(self._model)
        total = length + TOKENS
        chosen = {**wishes, "do_sample": True} if wishes["temperature"] else {"do_sample": False}
        settings.set_search_options(
            max_length=total, min_length=total, batch_size=streams, **chosen
        )
        generator = self._library.Generator(self._model, settings)
        generator.append_tokens(np.array([prompt[:length] for prompt in prompts], np.int32))
        while not generator.is_done():
            generator.generate_next_token()
            generator.get_next_tokens()


class GenaiAsItIs(Genai):
    """The same with its own choice of threads, which spin."""

    name = "onnxruntime-genai, its own threads"
    threads = None
    lingers = 0.2
