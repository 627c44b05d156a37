"""What tokens cost, in calls of the model and in copies of scores: no clock is looked at."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.detokenizer import Detokenizer
from hoonify_backends.generation.sampling import Sampling
from hoonify_backends.onnxruntime.loading import LoadedModel
from hoonify_backends.onnxruntime.scheduler import Job, Scheduler

GREEDY = Sampling(temperature=0)
SAMPLED = Sampling(temperature=0.7, top_p=0.9, top_k=40)
FREE = Sampling(temperature=0.7, top_p=0.9)


class Counted:
    """A model that notes how often it is called."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def prefill(self, *arguments: Any) -> Any:
        self.calls.append("prefill")
        return self._model.prefill(*arguments)

    def decode(self, *arguments: Any) -> Any:
        self.calls.append("decode")
        return self._model.decode(*arguments)


def running(
    model: Any, tokenizer: Any, prompts: list[list[int]], limit: int, sampling: Sampling
) -> Scheduler:
    """Return a scheduler with an answer to each prompt."""
    scheduler, texts = Scheduler(model, prefill_chunk=256), Detokenizer(tokenizer)
    for prompt in prompts:
        answer = Answer(texts.new(), limit=limit)
        scheduler.submit(Job(list(prompt), Chooser(sampling, prompt), answer))
    return scheduler


def test_a_token_of_all_answers_is_one_call(
    loaded: LoadedModel, tokenizer: Any, prompts: list[list[int]]
) -> None:
    """One call for each prompt, one for each further token, however many answers share it."""
    model = Counted(loaded.model)
    scheduler = running(model, tokenizer, prompts[:4], 20, GREEDY)
    while scheduler.busy:
        scheduler.step()
    assert model.calls.count("prefill") == 4
    assert 19 <= model.calls.count("decode") <= 19 + 4  # the last prompt is read while others run


@pytest.mark.parametrize(("sampling", "rows"), [(GREEDY, 1.0), (SAMPLED, 3.0), (FREE, 4.0)])
def test_scores_are_not_copied_beyond_need(
    loaded: LoadedModel,
    tokenizer: Any,
    prompts: list[list[int]],
    sampling: Sampling,
    rows: float,
) -> None:
    """A step never holds more than so many rows of scores for each answer beside the model's own."""
    scheduler = running(loaded.model, tokenizer, prompts[:4], 40, sampling)
    for _ in range(20):  # prompts are read, bindings and tables are made
        scheduler.step()
    most = 0
    tracemalloc.start()
    try:
        for _ in range(12):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            scheduler.step()
            most = max(most, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert most <= rows * 4 * (4 * loaded.model.vocabulary)
    while scheduler.busy:
        scheduler.step()


def test_scores_of_a_step_are_where_the_model_wrote_them(loaded: LoadedModel) -> None:
    """Two steps give the same memory: nothing is allocated for them."""
    first = loaded.model.decode([5, 6], [0, 0])
    second = loaded.model.decode([7, 8], [1, 1])
    assert first.ctypes.data == second.ctypes.data
