"""What the model reads next: dynamic batching as plain policy, without a model of its own.

Each call of ``step`` is one call of the model. All inputs of a call are filled up to the longest, so inputs
of like length share one, whichever requests they came with: the next input of the request that has
been served least leads, and those in reach of its length follow, a fair share from each request. A short request
that comes while a long one is served is therefore in the next call or soon after it, and no request starves.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from hoonify_backends.onnxruntime.embedding.model import Floats, Halt, Tokens, scale
from hoonify_router.errors import ModelUnavailable, RouterError
from hoonify_router.types import Counted, Embedded, Event, Usage

_SHORT = 16  # tokens; below, a call costs more than what is filled up


class Encoder(Protocol):
    """What the batcher needs of a model."""

    normalize: bool

    def embed(self, rows: Sequence[Tokens], halt: Halt | None = None) -> Floats:
        """Return one vector for each row, ``[rows, dimensions]``."""


class Job:
    """One request on its way through the batcher.

    Args:
        inputs: The tokens of each input; none is empty.
        dimensions: What vectors are cut to; ``None`` leaves them whole.
    """

    __slots__ = (
        "dimensions",
        "failure",
        "inputs",
        "lengths",
        "served",
        "todo",
        "tokens",
        "unwanted",
        "waiting",
    )

    def __init__(self, inputs: Sequence[Tokens], dimensions: int | None = None) -> None:
        self.inputs = inputs
        self.dimensions = dimensions
        self.todo = sorted(range(len(inputs)), key=lambda i: len(inputs[i]))  # the longest last
        self.lengths = [len(inputs[i]) for i in self.todo]
        self.tokens = sum(self.lengths)
        self.waiting = self.tokens  # tokens that are still to be read
        self.served = 0  # tokens that count as read, for the order of requests
        self.failure: RouterError | None = None
        self.unwanted = False


News = tuple[Job, list[Event]]
"""What a step did for one request; no events and a ``failure`` mean that it has failed."""


class _Call:
    """One call of the model while it runs."""

    __slots__ = ("halt", "jobs")

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs
        self.halt = Halt()

    def halt_if_unwanted(self) -> bool:
        if all(job.unwanted for job in self.jobs):
            self.halt.request()
        return self.halt.requested


class _Take(NamedTuple):
    """A piece of ``todo`` that goes into a call."""

    job: Job
    start: int
    stop: int


class Batcher:
    """Serves any number of requests with one model.

    Not thread-safe: one thread calls it. Others may call ``disown`` and read ``running`` and
    ``seconds_per_token``.

    Args:
        model: The model; nobody else may call it.
        batch_tokens: Tokens of one call, padding included; an input that is longer has a call of its own.
    """

    def __init__(self, model: Encoder, *, batch_tokens: int) -> None:
        self.seconds_per_token = 0.001  # a guess, until there is a call to learn from
        self._model = model
        self._batch_tokens = batch_tokens
        self._jobs: dict[Job, None] = {}  # in the order of their arrival
        self._call = _Call([])
        self._clock = 0
        self._seconds = self._tokens = 0.0

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._jobs)

    @property
    def running(self) -> int:
        """How many requests are in the call that runs now."""
        return len(self._call.jobs)

    def submit(self, job: Job) -> None:
        """Let a request wait; it counts as served as much as the one that has been served least."""
        job.served = self._clock
        self._jobs[job] = None

    def cancel(self, job: Job) -> None:
        """Forget a request; what the model has not begun is never read. One that has ended is fine too."""
        self._jobs.pop(job, None)

    def disown(self, job: Job) -> None:
        """Say that nobody waits for a request: a call that is for such requests only ends early.

        ``cancel`` has to follow.
        """
        job.unwanted = True
        self._call.halt_if_unwanted()

    def abandon(self) -> list[Job]:
        """Forget the requests of the call that failed, and return them."""
        lost, self._call = self._call.jobs, _Call([])
        for job in lost:
            self._jobs.pop(job, None)
        return lost

    def step(self) -> list[News]:
        """Call the model once and return what that brought to whom."""
        if not self._jobs:
            return []
        rows: list[Tokens] = []
        places: list[list[int]] = []
        taken = self._choose()
        for job, start, stop in taken:
            places.append(job.todo[start:stop])
            rows += [job.inputs[place] for place in places[-1]]
            del job.todo[start:stop], job.lengths[start:stop]
        call = self._call = _Call([take.job for take in taken])
        started = time.perf_counter()
        try:
            # First seen by others, then looked at: whoever is disowned meanwhile is seen by one of the two.
            if call.halt_if_unwanted():
                self.abandon()
                return []
            vectors = self._model.embed(rows, call.halt)
        except Exception:
            if not call.halt.requested:
                raise
            self.abandon()
            return []
        self._note_speed(time.perf_counter() - started, rows)
        news: list[News] = []
        done = 0
        for job, own in zip(call.jobs, places, strict=True):
            read = sum(len(job.inputs[place]) for place in own)
            job.waiting -= read
            job.served += read
            news.append(self._hand_over(job, own, vectors[done : done + len(own)]))
            done += len(own)
        self._call = _Call([])
        return news

    def _choose(self) -> list[_Take]:
        """Return what the next call reads."""
        order = sorted(self._jobs, key=lambda job: job.served)  # stable: the oldest first
        first = order[0]
        self._clock = first.served
        top = _SHORT
        while top < first.lengths[-1]:
            top += top // 2
        bottom = top // 2 if top > _SHORT else 0
        spans = [
            (job, bisect_right(job.lengths, bottom), bisect_right(job.lengths, top))
            for job in order
        ]
        spans = [(job, start, stop) for job, start, stop in spans if start < stop]
        longest = max(job.lengths[stop - 1] for job, _, stop in spans)
        room = max(1, self._batch_tokens // longest)
        share = max(1, room // len(spans))
        counts: list[int] = []
        for _, start, stop in spans[:room]:
            counts.append(min(share, stop - start))
        room -= sum(counts)
        for place, (_, start, stop) in enumerate(spans[: len(counts)]):
            more = min(room, stop - start - counts[place])
            counts[place] += more
            room -= more
        return [
            _Take(job, stop - count, stop)
            for (job, _, stop), count in zip(spans, counts, strict=False)
        ]

    def _note_speed(self, seconds: float, rows: list[Tokens]) -> None:
        """Remember how fast the last calls were, large ones above all."""
        self._seconds = 0.9 * self._seconds + seconds
        self._tokens = 0.9 * self._tokens + sum(map(len, rows))
        self.seconds_per_token = self._seconds / self._tokens

    def _hand_over(self, job: Job, places: list[int], vectors: Floats) -> News:
        if not np.isfinite(vectors).all():
            self._jobs.pop(job, None)
            job.failure = ModelUnavailable("The model gave no finite vector for one of the inputs.")
            return job, []
        if job.dimensions is not None:
            vectors = vectors[:, : job.dimensions]
            if self._model.normalize:
                vectors = scale(vectors)
        exact = np.ascontiguousarray(vectors, "<f4")
        events: list[Event] = [
            Embedded(vector.tobytes(), place) for vector, place in zip(exact, places, strict=True)
        ]
        if not job.todo:
            self._jobs.pop(job, None)
            events.append(Counted(Usage(prompt_tokens=job.tokens)))
        return job, events
