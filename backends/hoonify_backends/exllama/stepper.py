"""Runs answers on one of ExLlama's generators: what the two engines have in common.

The engine schedules and computes; each token is chosen here, out of the engine's scores, by what all engines of
this kind share. So its parameters mean here what they mean elsewhere, and nothing that the engine would do to text
(hold it, lose it, stop at it) touches an answer.

All that an answer remembers is its own, so it can go on in a new sequence at any time, whose prompt is what it has
so far. That is how it takes the cache's pages bit by bit rather than all at its start, and how the others go on when
memory ran out for one: the engine keeps whole pages by their content, and reads little or nothing anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from hoonify_backends.exllama.failures import is_device_failure, is_out_of_memory, no_memory
from hoonify_backends.exllama.options import PAGE
from hoonify_backends.generation.jobs import Job
from hoonify_backends.generation.logprobs import Score, watch
from hoonify_backends.generation.runner import BeyondRepair
from hoonify_backends.generation.sampler import choose
from hoonify_backends.generation.sampling import Floats
from hoonify_router.errors import EngineDead, RouterError
from hoonify_router.types import Event

_SHORT_IN_A_ROW = 3  # steps that ran out of memory, before all is given up

Choose = Callable[[Floats], int]
"""Takes the scores after a sequence's last token, which it may change, and returns the next token."""

Progress = tuple[Job, list[Event]]
"""What a step did for one answer; no events mean that it has failed, as its chooser tells."""


class Generator(Protocol):
    """What the stepper needs of an engine; one thread calls it."""

    paged: bool
    """Whether sequences share a cache of pages; if not, there is one sequence at a time, with all of it."""

    def start(
        self,
        prompt: Sequence[int],
        limit: int,
        choose: Choose,
        *,
        first: bool,
        images: Sequence[Any] = (),
    ) -> Any:
        """Put a sequence into the queue, of up to ``limit`` more tokens, and return a handle of it.

        Args:
            prompt: Its tokens so far.
            limit: Tokens that room is kept for.
            choose: Called for each of its tokens.
            first: Whether it goes before all that wait.
            images: What the engine made of the images whose tokens the prompt has.
        """

    @property
    def idle(self) -> bool:
        """Whether it has no sequence, neither running nor waiting."""

    def step(self) -> Iterable[tuple[Any, Exception]]:
        """Get one more token for each sequence that runs, or read prompts; return those that failed alone."""

    def stop(self, handle: Any) -> None:
        """Forget a sequence and free its pages; one that has ended is fine too."""

    def cached(self, handle: Any) -> int:
        """Return how many tokens of a sequence's prompt did not have to be read."""

    def reset(self) -> None:
        """Forget all sequences and pages, after a failure, and give back the memory that is not in use."""


def warm_up(generator: Generator) -> None:
    """Run a short sequence, so that the first request does not pay for what an engine does once."""
    handle = generator.start([0] * 8, 4, lambda row: int(row.argmax()), first=False)
    for _ in range(4):
        for _, failure in generator.step():
            raise failure
    generator.stop(handle)
    generator.reset()


class _Run:
    """One answer in the engine."""

    __slots__ = ("end", "failure", "handle", "job", "token")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.handle: Any = None
        self.end = 0  # length at which its sequence ends
        self.token: tuple[int, Score | None] | None = None  # chosen in this step
        self.failure: RouterError | None = None

    def choose(self, row: Floats) -> int:
        """Choose the next token; whatever fails here must not fail the step of all."""
        chooser = self.job.chooser
        rows = row[None]
        try:
            watched = watch(rows, [chooser])
            [token] = choose(rows, [chooser])
            score = None if watched is None else watched.scores([token])[0]
        except Exception as exc:
            self.failure = EngineDead("The engine failed while it chose the request's next token.")
            self.failure.__cause__ = exc
            return 0
        self.token = token, score
        return token


class ExllamaStepper:
    """Runs any number of answers; see ``generation.runner.Stepper``.

    Args:
        generator: The engine; nobody else may call it.
        answer_pages: Pages that an answer takes ahead.
        log: Where failures go.
    """

    def __init__(self, generator: Generator, *, answer_pages: int, log: logging.Logger) -> None:
        self._generator = generator
        self._ahead = answer_pages
        self._log = log
        self._runs: dict[Job, _Run] = {}  # in the order in which they came
        self._lost: list[Progress] = []  # failed before they began
        self._short = 0

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._runs or self._lost)

    def submit(self, job: Job) -> None:
        """Put an answer at the end of the queue."""
        self._runs[job] = _Run(job)
        self._start(job)

    def cancel(self, job: Job) -> None:
        """Forget an answer, its pages are free at once; one that has ended is fine too."""
        run = self._runs.pop(job, None)
        job.ended = True
        if run is not None:
            self._generator.stop(run.handle)

    def abandon(self) -> list[Job]:
        """Forget all answers after a failure, and return them."""
        jobs = [*self._runs, *(job for job, _ in self._lost)]
        self._runs.clear()
        self._lost.clear()
        for job in jobs:
            job.ended = True
        try:
            self._generator.reset()
        except Exception:
            self._log.exception("the engine cannot be reset")
        return jobs

    def step(self) -> list[Progress]:
        """Do one turn and return what it brought to whom.

        Raises:
            BeyondRepair: The GPU failed.
        """
        lost, self._lost = self._lost, []
        if not self._runs:
            return lost
        try:
            failed = self._generator.step()
        except Exception as exc:
            if is_device_failure(exc):
                raise BeyondRepair(f"the GPU failed: {exc}") from exc
            self._short += 1
            if not is_out_of_memory(exc) or self._short > _SHORT_IN_A_ROW:
                raise
            self._log.exception("the GPU ran out of memory")
            return lost + self._news() + self._shed()
        self._short = 0
        return lost + self._news() + self._failures(failed) + self._forgotten()

    def _start(self, job: Job, *, first: bool = False) -> None:
        """Give an answer a sequence of its own; one that the engine refuses fails alone."""
        run = self._runs[job]
        have, room = len(job.tokens), job.answer.room
        if self._generator.paged:
            room = min(room, (have // PAGE + self._ahead) * PAGE - have)  # pages are taken whole
        run.end = have + room
        try:
            run.handle = self._generator.start(
                job.tokens, room, run.choose, first=first, images=job.images
            )
        except Exception as exc:
            if is_device_failure(exc):
                raise BeyondRepair(f"the GPU failed: {exc}") from exc
            self._log.exception("the engine refused a sequence of %s tokens", run.end)
            del self._runs[job]
            self._lost.append(
                _failed(job, EngineDead("The engine refused the request.", retry_after=1))
            )

    def _news(self) -> list[Progress]:
        """Take what was chosen in this step, end answers that are complete, let others go on."""
        news: list[Progress] = []
        for job, run in list(self._runs.items()):
            if run.failure is not None:
                self._log.error("an answer failed", exc_info=run.failure.__cause__)
                self._end(run)
                news.append(_failed(job, run.failure))
            if run.token is None:
                continue
            (token, score), run.token = run.token, None
            if len(job.tokens) == job.prompt_length:
                job.cached = self._generator.cached(run.handle)
            events = job.take(token, score)
            if job.over:
                self._end(run)
                news.append((job, events))
                continue
            if events:
                news.append((job, events))
            if len(job.tokens) >= run.end:  # its pages are full
                self._generator.stop(run.handle)
                self._start(job, first=True)
        return news

    def _failures(self, failed: Iterable[tuple[Any, Exception]]) -> list[Progress]:
        news: list[Progress] = []
        for handle, failure in failed:
            run = next((run for run in self._runs.values() if run.handle is handle), None)
            if run is None:
                continue
            if is_device_failure(failure):
                raise BeyondRepair(f"the GPU failed: {failure}") from failure
            self._log.error("an answer failed", exc_info=failure)
            self._end(run)
            error = no_memory() if is_out_of_memory(failure) else None
            news.append(_failed(run.job, error or EngineDead("The engine failed on this request.")))
        return news

    def _forgotten(self) -> list[Progress]:
        """Fail what the engine has dropped without a word, so that nobody waits for ever."""
        if not (self._runs and self._generator.idle):
            return []
        jobs = list(self._runs)
        self._runs.clear()
        self._log.error("the engine dropped %s sequences", len(jobs))
        return [_failed(job, EngineDead("The engine dropped the request.")) for job in jobs]

    def _shed(self) -> list[Progress]:
        """Give up the answer that takes most memory, of equal ones the newest, and let the others go on."""
        self._generator.reset()
        if not self._runs:
            return []
        last = max(enumerate(self._runs.values()), key=lambda placed: (placed[1].end, placed[0]))[1]
        del self._runs[last.job]
        last.job.ended = True
        for job in list(self._runs):
            self._start(job)
        return [_failed(last.job, no_memory())]

    def _end(self, run: _Run) -> None:
        del self._runs[run.job]
        run.job.ended = True
        self._generator.stop(run.handle)


def _failed(job: Job, failure: RouterError) -> Progress:
    job.chooser.failure = failure
    job.ended = True
    return job, []
