"""Requests on their way through ``og.Engine``, which has its own queue, batches and sampler."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from hoonify_backends.generation.jobs import Job
from hoonify_backends.generation.runner import BeyondRepair
from hoonify_backends.onnxruntime.failures import running_failure
from hoonify_router.errors import EngineDead, OutOfMemory
from hoonify_router.types import Event

Begin = Callable[[Job], tuple[Any, int]]
"""Starts a job's turn; returns the engine's request and the number of its turn."""

Open = Callable[[], tuple[Any, Begin]]
"""Makes an ``og.Engine`` and what starts turns on it; an engine belongs to the thread that made it."""

_FEWEST_EVENTS = 64
_NO_NEWS = 0.002  # seconds until an engine that could do nothing is asked again
_NO_ROOM = frozenset({"CAPACITY_DEFERRED", "EXECUTION_CAPACITY_EXCEEDED", "REQUEST_UNSERVICEABLE"})
_FULL = frozenset({"MAX_GENERATED_TOKENS", "MAX_SESSION_TOKENS"})
_BROKEN = frozenset({"ENGINE_CONTRACT_FAILURE", "ENGINE_EXECUTION_FAILURE"})


class GenaiStepper:
    """Runs answers on one engine.

    Not thread-safe: one thread calls it.

    Args:
        open: Makes the engine, at the first step.
        slots: Requests that run at once.
        eos: A token that ends an answer: the engine tells the end without it.
    """

    def __init__(self, open: Open, *, slots: int, eos: int) -> None:
        self._open = open
        self._eos = eos
        self._events = max(_FEWEST_EVENTS, 4 * slots)
        self._engine: Any = None
        self._buffer: Any = None
        self._waiting: deque[Job] = deque()
        self._running: dict[Any, Job] = {}  # by the engine's request
        self._turns: dict[Job, tuple[Any, int]] = {}
        self._leaving: set[Any] = set()  # requests that are cancelled and not yet gone

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._waiting or self._running or self._leaving)

    def submit(self, job: Job) -> None:
        """Put an answer at the end of the queue."""
        self._waiting.append(job)

    def cancel(self, job: Job) -> None:
        """Forget an answer; one that has ended is fine too."""
        if job.ended:
            return
        if job in self._turns:
            self._leave(job)
        else:
            self._waiting.remove(job)
            job.ended = True

    def abandon(self) -> list[Job]:
        """Forget all answers after a failure, and return them."""
        jobs = [*self._turns, *self._waiting]
        self._waiting.clear()
        for job in list(self._turns):
            self._leave(job)
        for job in jobs:
            job.ended = True
        return jobs

    def step(self) -> list[tuple[Job, list[Event]]]:
        """Do one turn and return what it brought to whom."""
        if self._engine is None:
            self._engine, self._begin = self._open()
            self._buffer = self._engine.create_event_buffer(self._events)
        progress = self._start()
        events = self._engine.run(self._buffer)
        if not len(events):
            time.sleep(_NO_NEWS)
        for event in events:
            request = event.request
            if event.error_code.name in _BROKEN:
                raise BeyondRepair(f"onnxruntime-genai: {event.error_code.name}")
            finish = event.finish_reason.name
            if request in self._leaving:
                if finish != "NONE":
                    self._leaving.discard(request)
                    request.close()
                continue
            job = self._running.get(request)
            if job is None:
                continue
            told = self._hear(job, event, finish)
            if job.over or finish != "NONE":
                self._part(job, request, gone=finish != "NONE")
                progress.append((job, told))
            elif told:
                progress.append((job, told))
        return progress

    def _start(self) -> list[tuple[Job, list[Event]]]:
        """Hand what waits to the engine, which has a queue of its own."""
        failed: list[tuple[Job, list[Event]]] = []
        while self._waiting:
            job = self._waiting.popleft()
            try:
                request, turn = self._begin(job)
            except RuntimeError as exc:
                job.chooser.failure = running_failure(exc)
                job.ended = True
                failed.append((job, []))
                continue
            self._running[request] = job
            self._turns[job] = (request, turn)
        return failed

    def _hear(self, job: Job, event: Any, finish: str) -> list[Event]:
        told: list[Event] = []
        if event.token is not None:
            told = job.take(event.token)
        if finish == "NONE" or job.over:
            return told
        job.cached = int(event.usage.cached_prompt_tokens)
        if finish == "EOS":
            return [*told, *job.take(self._eos)]
        if finish in _FULL:
            return [*told, *job.answer.skip()]
        if event.error_code.name in _NO_ROOM:
            job.chooser.failure = OutOfMemory(
                "The engine has no memory left for this request.", retry_after=5
            )
        else:
            job.chooser.failure = EngineDead("The engine gave up on the request.", retry_after=1)
        return []

    def _leave(self, job: Job) -> None:
        """Cancel a job's turn; the engine tells when it is gone."""
        request, _ = self._turns[job]
        self._part(job, request, gone=False)

    def _part(self, job: Job, request: Any, *, gone: bool) -> None:
        _, turn = self._turns.pop(job)
        del self._running[request]
        job.ended = True
        if gone:
            request.close()
        elif request.cancel_turn(turn):
            self._leaving.add(request)
        else:
            request.close()


def begin_turn(engine: Any, og: Any, continuous: bool) -> Begin:
    """Return what starts a job's turn as its request wants it sampled.

    Args:
        engine: The ``og.Engine``.
        og: The library.
        continuous: Whether the engine takes seeds.
    """

    def begin(job: Job) -> tuple[Any, int]:
        sampling, room = job.chooser.sampling, job.answer.room
        request = engine.create_request()
        turn = og.TurnOptions(request)
        turn.set_max_generated_tokens(room)
        if job.answer.endless:
            turn.set_min_generated_tokens(room)
        turn.set_repetition_penalty(sampling.repetition_penalty)
        turn.set_do_sample(not sampling.greedy)
        if not sampling.greedy:  # the engine refuses what would contradict it
            turn.set_temperature(sampling.temperature)
            turn.set_top_p(sampling.top_p)
            turn.set_top_k(sampling.top_k)
            if continuous and sampling.seed is not None:
                turn.set_seed((sampling.seed + job.answer.index) % 2**31)
        return request, request.begin_turn(np.array(job.prompt, np.int32), turn)

    return begin
