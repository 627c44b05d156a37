"""Answers on a generator: their tokens, their pages, and what is left of them when something fails."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from tests.backends.exllama.scripted import ScriptedGenerator, mixed
from tests.backends.generation.vocabularies import byte_level

from hoonify_backends.exllama.options import PAGE
from hoonify_backends.exllama.stepper import ExllamaStepper, warm_up
from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.detokenizer import Detokenizer
from hoonify_backends.generation.jobs import Job
from hoonify_backends.generation.runner import BeyondRepair
from hoonify_backends.generation.sampling import Sampling
from hoonify_router.errors import EngineDead, OutOfMemory
from hoonify_router.types import Finish

DETOKENIZER = Detokenizer(byte_level())


class OutOfMemoryError(RuntimeError):
    """Named as torch's is."""


def job(prompt: list[int], limit: int, **answer: Any) -> Job:
    chooser = Chooser(Sampling(temperature=0), prompt)
    return Job(prompt, chooser, Answer(DETOKENIZER.new(), limit=limit, **answer))


def expected(prompt: list[int], count: int) -> list[int]:
    """Return what the script says after a prompt."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(mixed(tokens))
    return tokens[len(prompt) :]


class Bench:
    """A stepper on a scripted generator, and what it gave."""

    def __init__(self, answer_pages: int = 8, **generator: Any) -> None:
        self.generator = ScriptedGenerator(mixed, **generator)
        self.stepper = ExllamaStepper(
            self.generator, answer_pages=answer_pages, log=logging.getLogger(__name__)
        )
        self.ends: dict[Job, str] = {}
        self.failures: dict[Job, Exception] = {}

    def submit(self, *jobs: Job) -> None:
        for one in jobs:
            self.stepper.submit(one)

    def step(self) -> None:
        for one, events in self.stepper.step():
            if events and isinstance(events[-1], Finish):
                self.ends[one] = events[-1].reason
            elif not events:
                assert one.chooser.failure is not None
                self.failures[one] = one.chooser.failure

    def run(self) -> None:
        while self.stepper.busy:
            self.step()


def test_answers_run_together_and_keep_apart() -> None:
    """Each has the tokens that it would have alone."""
    bench = Bench()
    jobs = [job([1, 2, 3], 5), job([4], 9), job([5, 6], 1)]
    bench.submit(*jobs)
    bench.run()
    for one in jobs:
        assert one.tokens[one.prompt_length :] == expected(list(one.prompt), one.answer.tokens)
    assert [one.answer.tokens for one in jobs] == [5, 9, 1]
    assert list(bench.ends.values()) == ["length"] * 3
    assert max(bench.generator.together) == 3
    assert bench.generator.idle


def test_an_answer_that_ends_gives_its_pages_back_at_once() -> None:
    """The engine, which knows no stop tokens, would go on to the limit."""
    bench = Bench()
    [first] = expected([7], 1)
    one = job([7], 1000, eos=frozenset({first}))
    bench.submit(one)
    bench.step()
    assert bench.ends == {one: "stop"}
    assert bench.generator.idle
    assert not bench.stepper.busy


def test_pages_are_taken_bit_by_bit() -> None:
    """A long limit keeps no room that others could use, and the answer is the same."""
    bench = Bench(answer_pages=1, pages=8)
    one = job([1, 2, 3], 3 * PAGE)
    bench.submit(one)
    bench.run()
    assert one.tokens[3:] == expected([1, 2, 3], 3 * PAGE)
    assert bench.ends == {one: "length"}
    assert bench.generator.started == [(3, PAGE - 3), (PAGE, PAGE), (2 * PAGE, PAGE), (3 * PAGE, 3)]
    assert one.cached == 0  # what it reads again of its own answer is no cached prompt


def test_what_an_answer_remembers_outlives_its_sequence() -> None:
    """Seeded choices go on as they would have without a new sequence."""

    def drawn(answer_pages: int) -> list[int]:
        prompt = [1, 2, 3]
        chooser = Chooser(Sampling(temperature=8.0, seed=5, presence_penalty=1.0), prompt)
        one = Job(prompt, chooser, Answer(DETOKENIZER.new(), limit=700))
        bench = Bench(answer_pages=answer_pages)
        bench.submit(one)
        bench.run()
        return one.tokens

    assert drawn(1) == drawn(8)


def test_who_goes_on_does_not_queue_again() -> None:
    """A stream that has begun would stall behind those that have not."""
    bench = Bench(answer_pages=1, pages=4, slots=1)
    long, late = job([1] * (PAGE - 1), PAGE), job([2], 1)
    bench.submit(long, late)
    bench.run()
    assert list(bench.ends) == [long, late]


def test_without_pages_one_answer_has_the_whole_cache() -> None:
    """And keeps its sequence."""
    bench = Bench(answer_pages=1, paged=False, slots=1)
    one, other = job([1], 600), job([2], 2)
    bench.submit(one, other)
    bench.run()
    assert bench.generator.started == [(1, 600), (1, 2)]
    assert one.tokens[1:] == expected([1], 600)
    assert other.tokens[1:] == expected([2], 2)


def test_cancelled_answers_are_gone() -> None:
    """Whether they run or wait, and again when they have ended."""
    bench = Bench(slots=1)
    running, waiting = job([1], 50), job([2], 50)
    bench.submit(running, waiting)
    bench.step()
    bench.stepper.cancel(waiting)
    bench.stepper.cancel(running)
    bench.stepper.cancel(running)
    assert bench.generator.idle
    assert not bench.stepper.busy
    assert (running.ended, waiting.ended) == (True, True)


def test_cached_tokens_are_told_of_the_prompt() -> None:
    """As the engine counts them when the first token comes."""
    bench = Bench()
    one = job([1] * (PAGE + 3), 2)
    bench.submit(one)
    bench.run()
    assert one.cached == PAGE


@pytest.mark.parametrize(
    "failure",
    [
        OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_without_memory_the_largest_answer_is_given_up_and_the_others_go_on(
    failure: Exception,
) -> None:
    """With the very tokens that they would have had."""
    bench = Bench()
    jobs = [job([1, 2], 40), job([3] * 500, 40), job([4], 40)]
    bench.submit(*jobs)
    for _ in range(3):
        bench.step()
    bench.generator.failures.append(failure)
    bench.run()
    assert list(bench.failures) == [jobs[1]]
    assert isinstance(bench.failures[jobs[1]], OutOfMemory)
    assert bench.generator.resets == 1
    for one in (jobs[0], jobs[2]):
        assert one.tokens[one.prompt_length :] == expected(list(one.prompt), 40)
    assert set(bench.ends) == {jobs[0], jobs[2]}


def test_of_equal_answers_the_newest_is_given_up() -> None:
    """It has least to lose."""
    bench = Bench()
    jobs = [job([1, 2], 40), job([2, 2], 40)]
    bench.submit(*jobs)
    bench.generator.failures.append(MemoryError())
    bench.step()
    assert list(bench.failures) == [jobs[1]]


def test_memory_that_never_comes_back_is_no_endless_story() -> None:
    """After some steps in a row the failure is told."""
    bench = Bench()
    bench.submit(*(job([number], 4) for number in range(9)))
    bench.generator.failures += [MemoryError()] * 9
    with pytest.raises(MemoryError):
        bench.run()
    assert len(bench.failures) == 3
    assert len(bench.stepper.abandon()) == 6
    assert not bench.stepper.busy


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED when calling cublasGemmEx"),
    ],
)
def test_a_failed_gpu_is_beyond_repair(failure: Exception) -> None:
    """Wherever it shows: in a step, of one sequence, or when one is to start."""
    bench = Bench()
    bench.submit(job([1], 4))
    bench.generator.failures.append(failure)
    with pytest.raises(BeyondRepair):
        bench.step()
    bench.step()
    bench.generator.failed.append((bench.generator.running[0], failure))
    with pytest.raises(BeyondRepair):
        bench.step()
    bench.generator.refusals.append(failure)
    with pytest.raises(BeyondRepair):
        bench.submit(job([2], 4))


def test_other_failures_are_told_as_they_are() -> None:
    """The answers of that moment are lost, and the next ones run."""
    bench = Bench()
    lost = job([1], 4)
    bench.submit(lost)
    bench.generator.failures.append(ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        bench.step()
    assert bench.stepper.abandon() == [lost]
    next_one = job([1], 4)
    bench.submit(next_one)
    bench.run()
    assert bench.ends == {next_one: "length"}


def test_a_sequence_that_fails_alone_takes_nobody_along() -> None:
    """As ExLlamaV3 tells it."""
    bench = Bench()
    good, bad = job([1], 4), job([2], 4)
    bench.submit(good, bad)
    bench.step()
    bench.generator.failed.append((bench.generator.running[1], ValueError("not finite")))
    bench.run()
    assert isinstance(bench.failures[bad], EngineDead)
    assert bench.ends == {good: "length"}


def test_a_refused_sequence_fails_alone() -> None:
    """The engine says no by an AssertionError."""
    bench = Bench()
    refused, good = job([1], 4), job([2], 4)
    bench.generator.refusals.append(AssertionError("Job requires 99 pages"))
    bench.submit(refused, good)
    bench.run()
    assert isinstance(bench.failures[refused], EngineDead)
    assert bench.ends == {good: "length"}


def test_a_choice_that_fails_takes_nobody_along(caplog: pytest.LogCaptureFixture) -> None:
    """It is made in the middle of everybody's step."""

    class Broken:
        def apply(self, logits: np.ndarray[Any, Any]) -> None:
            raise ZeroDivisionError("a bug")

        def saw(self, token: int) -> None: ...

    bench = Bench()
    bad, good = job([1], 4), job([2], 4)
    bad.chooser.processors.append(Broken())
    bench.submit(bad, good)
    bench.run()
    assert isinstance(bench.failures[bad], EngineDead)
    assert bench.ends == {good: "length"}
    assert "a bug" in caplog.text


def test_nobody_waits_for_a_sequence_that_the_engine_dropped() -> None:
    """Neither engine should, but a client would wait for ever."""
    bench = Bench()
    one = job([1], 40)
    bench.submit(one)
    bench.step()
    bench.generator.running.clear()
    bench.run()
    assert isinstance(bench.failures[one], EngineDead)


def test_warming_up_leaves_nothing() -> None:
    """A short sequence runs, and its pages are forgotten."""
    generator = ScriptedGenerator(mixed)
    warm_up(generator)
    assert generator.together
    assert generator.resets == 1
    assert generator.idle
