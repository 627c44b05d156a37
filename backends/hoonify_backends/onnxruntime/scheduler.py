"""Who gets the model next: continuous batching as plain policy, without a model of its own.

Each call of ``step`` is one turn: either prompts are read, ``prefill_chunk`` tokens of them at most, or
every running answer gets its next token. The two alternate while there is both to do, so that a long
prompt delays the others by one chunk at a time, and prompts take turns too, so that a short one does not
wait for a long one to end.

Rows of the KV cache belong to requests. A decode call spans the rows from the first to the last answer;
a row between them that is free or whose prompt is still being read rides along: it writes to a place of its own
that is not valid yet, and its result is ignored. Free rows are given to who waits, and where nobody does, the last
answer is moved down to close the gap, in exchange for what the free row still holds.

Where several answers to one prompt are wanted, the first reads it and the others copy its row. Those that have a
row by then begin with the very same scores.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import repeat
from typing import Protocol

import numpy as np

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.jobs import Job as PlainJob
from hoonify_backends.generation.logprobs import watch
from hoonify_backends.generation.sampler import choose
from hoonify_backends.generation.sampling import Floats
from hoonify_router.types import Event

_WORTH_REUSING = 32  # tokens; fewer are read anew as quickly
_SHORTEST_PIECE = 16  # tokens of a longer prompt that are worth a call of the model


class Model(Protocol):
    """What the scheduler needs of a model."""

    slots: int
    context_length: int
    can_swap: bool
    can_copy: bool

    def prefill(self, row: int, tokens: Sequence[int], start: int) -> Floats:
        """Read ``tokens`` into a row from place ``start`` on; return the scores after the last, ``[1, V]``."""

    def decode(self, tokens: Sequence[int], places: Sequence[int]) -> Floats:
        """Read one token into each of the first rows, at that row's place; return scores ``[rows, V]``."""

    def swap(self, first: int, second: int, length: int) -> None:
        """Exchange the first ``length`` places of two rows."""

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` places of a row to another."""


class Job(PlainJob):
    """One answer on its way through the scheduler.

    Args:
        prompt: Tokens of the prompt.
        chooser: How its tokens are chosen.
        answer: Where they go.
    """

    __slots__ = ("filled", "row")

    def __init__(self, prompt: Sequence[int], chooser: Chooser, answer: Answer) -> None:
        super().__init__(prompt, chooser, answer)
        self.row = -1
        self.filled = 0  # tokens whose keys and values are in the row

    @classmethod
    def of(cls, plain: PlainJob) -> Job:
        """Return a job of this kind for the same answer."""
        return cls(plain.prompt, plain.chooser, plain.answer)

    @property
    def decoding(self) -> bool:
        """Whether the prompt has been read."""
        return self.filled >= self.prompt_length


Progress = tuple[Job, list[Event]]
"""What a step did for one answer; no events mean that it has failed, as its chooser tells."""


class Scheduler:
    """Runs any number of requests on one model.

    Not thread-safe: one thread calls it.

    Args:
        model: The model; nobody else may call it.
        prefill_chunk: Prompt tokens that are read in one turn.
        reuse_prefixes: Whether a free row's content is kept for a prompt that begins alike.
    """

    def __init__(self, model: Model, *, prefill_chunk: int, reuse_prefixes: bool = True) -> None:
        self._model = model
        self._chunk = prefill_chunk
        self._reuse = reuse_prefixes
        self._waiting: deque[Job] = deque()
        self._prefilling: deque[Job] = deque()
        self._resting: list[
            Job
        ] = []  # had the last turn at reading; whoever came meanwhile is first
        self._following: list[Job] = []  # wait for the row of another answer to the same prompt
        self._rows: list[Job | None] = [None] * model.slots
        self._left: list[list[int]] = [[]] * model.slots  # what free rows still hold
        self._decode_next = False

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._waiting) or any(self._rows)

    def submit(self, job: Job) -> None:
        """Put a request at the end of the queue."""
        self._waiting.append(job)

    def cancel(self, job: Job) -> None:
        """Forget a request; its row is free at once. One that has ended is fine too."""
        if job.ended:
            return
        if job.row >= 0:
            self._release(job)
        else:
            self._waiting.remove(job)
            job.ended = True

    def abandon(self) -> list[Job]:
        """Forget every request, and what the rows hold, after a failure; return the requests."""
        jobs = [*filter(None, self._rows), *self._waiting]
        for job in jobs:
            job.ended = True
        self._waiting.clear()
        self._prefilling.clear()
        self._resting.clear()
        self._following.clear()
        self._rows = [None] * self._model.slots
        self._left = [[]] * self._model.slots
        return jobs

    def step(self) -> list[Progress]:
        """Do one turn and return what it brought to whom."""
        if self._waiting:
            self._admit()
        running = [job for job in self._rows if job is not None and job.decoding]
        if (self._prefilling or self._resting) and not (running and self._decode_next):
            self._decode_next = True
            return self._read_prompts()
        self._decode_next = False
        return self._decode(running) if running else []

    def _admit(self) -> None:
        free = [row for row, job in enumerate(self._rows) if job is None]
        while self._waiting and free:
            job = self._waiting.popleft()
            twin = self._twin(job) if self._model.can_copy else None
            if twin is None:
                shared = [self._shared(job, row) for row in free]
                best = max(range(len(free)), key=lambda i: (shared[i], -free[i]))
                job.cached = job.filled = shared[best]
            else:
                best = min(range(len(free)), key=lambda i: (len(self._left[free[i]]), free[i]))
            job.row = free.pop(best)
            self._rows[job.row] = job
            self._left[job.row] = []
            if twin is not None and not twin.decoding:
                self._following.append(job)
                continue
            if twin is not None:  # only the last token is read, for its scores
                job.filled = job.prompt_length - 1
                self._model.copy(twin.row, job.row, job.filled)
            self._prefilling.append(job)

    def _twin(self, job: Job) -> Job | None:
        """Return an answer to the same prompt that has read more of it than a free row holds."""
        twins = [
            other
            for other in self._rows
            if other is not None and other.prompt is job.prompt and other not in self._following
        ]
        return max(twins, key=lambda other: other.filled, default=None)

    def _shared(self, job: Job, row: int) -> int:
        """Return how many first tokens of the prompt a free row holds already, if worth it."""
        held = self._left[row]
        same, most = 0, min(job.prompt_length - 1, len(held))  # the last is read for the scores
        while same < most:  # by halves, because slices are compared much faster than single tokens
            middle = (same + most + 1) // 2
            if job.tokens[same:middle] == held[same:middle]:
                same = middle
            else:
                most = middle - 1
        return same if same >= _WORTH_REUSING else 0

    def _read_prompts(self) -> list[Progress]:
        progress: list[Progress] = []
        budget = self._chunk
        self._prefilling += self._resting
        self._resting.clear()
        while self._prefilling:
            job = self._prefilling[0]
            rest = job.prompt_length - job.filled
            piece = min(rest, budget)
            if piece < rest and piece < min(_SHORTEST_PIECE, self._chunk):
                break
            self._prefilling.popleft()
            budget -= piece
            end = job.filled + piece
            logits = self._model.prefill(job.row, job.tokens[job.filled : end], job.filled)
            job.filled = end
            if piece == rest:
                progress += self._choose([job, *self._lead(job)], logits)
            else:
                self._resting.append(job)
        return progress

    def _lead(self, leader: Job) -> list[Job]:
        """Copy the row of a prompt that has been read for those that wait for it, and return them."""
        if not self._following:
            return []
        followers = [job for job in self._following if job.prompt is leader.prompt]
        for job in followers:
            self._following.remove(job)
            self._model.copy(leader.row, job.row, leader.filled)
            job.filled = leader.filled
        return followers

    def _decode(self, running: list[Job]) -> list[Progress]:
        if self._model.can_swap and not self._waiting:
            self._close_gaps(running)
        height = running[-1].row + 1
        tokens, places = [0] * height, [0] * height
        for row, job in enumerate(self._rows[:height]):
            if job is None:
                self._left[row] = []  # what rides along in a free row overwrites its first place
                continue
            places[row] = job.filled
            if job.decoding:
                tokens[row] = job.tokens[-1]
                job.filled += 1
        logits = self._model.decode(tokens, places)
        running = [job for job in self._rows[:height] if job is not None and job.decoding]
        if len(running) < height:
            logits = logits[[job.row for job in running]]
        return self._choose(running, logits)

    def _close_gaps(self, running: list[Job]) -> None:
        """Move the last answers into free rows before them; ``running`` stays in the order of the rows."""
        while None in self._rows[: running[-1].row]:
            job, gap = running[-1], self._rows.index(None)
            self._model.swap(job.row, gap, max(job.filled, len(self._left[gap])))
            self._rows[gap], self._rows[job.row] = job, None
            self._left[job.row], self._left[gap] = self._left[gap], []
            job.row = gap
            running.sort(key=lambda job: job.row)

    def _choose(self, jobs: list[Job], logits: Floats) -> list[Progress]:
        if len(jobs) > len(logits):  # answers to one prompt begin with the same scores
            logits = np.repeat(logits, len(jobs), axis=0)
        progress: list[Progress] = []
        choosers = [job.chooser for job in jobs]
        watched = watch(logits, choosers)
        tokens = choose(logits, choosers)
        scores = repeat(None) if watched is None else watched.scores(tokens)
        for job, token, score in zip(jobs, tokens, scores, strict=False):
            events = job.take(token, score)
            if job.over:
                self._release(job)
                progress.append((job, events))
            elif events:
                progress.append((job, events))
        return progress

    def _release(self, job: Job) -> None:
        if job in self._following:
            self._following.remove(job)
        elif not job.decoding:
            (self._resting if job in self._resting else self._prefilling).remove(job)
            if self._following:
                self._lead_anew(job)
        self._rows[job.row] = None
        self._left[job.row] = job.tokens[: job.filled] if self._reuse else []
        job.ended = True

    def _lead_anew(self, gone: Job) -> None:
        """Let another answer read the prompt that ``gone`` was reading for both."""
        heir = next((job for job in self._following if job.prompt is gone.prompt), None)
        if heir is not None:
            self._following.remove(heir)
            self._prefilling.append(heir)
