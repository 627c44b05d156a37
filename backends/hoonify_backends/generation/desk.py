"""Takes requests in, lets an engine's thread run them, and hands their events out."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from hoonify_backends.generation.jobs import Job
from hoonify_backends.generation.mailbox import Mailbox
from hoonify_backends.generation.pictures import images_of
from hoonify_backends.generation.plan import Plan
from hoonify_backends.generation.prompts import PromptReader, is_long
from hoonify_backends.generation.runner import Runner, Stepper
from hoonify_backends.generation.sight import Seen, Sight
from hoonify_router.api import Metered
from hoonify_router.errors import EngineDead, InvalidValue, Overloaded, RouterError
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    Counted,
    Event,
    Finish,
    Health,
    Usage,
)

_GRACE = 0.5  # seconds for the last errors to reach their clients before the process ends

JobT = TypeVar("JobT", bound=Job)


class Desk(Generic[JobT]):
    """Serves any number of requests with one stepper.

    Each answer counts as one: a request for ``n`` of them takes as much room as ``n`` requests.

    Usage counts all tokens of each prompt once, template included, and all tokens of the answers except those
    that end them; ``cached_tokens`` are prompt tokens whose keys and values an earlier request had left.

    Args:
        reader: Reads requests.
        stepper: Runs answers; only the desk's thread calls it from now on.
        make: Makes the stepper's kind of job of a plain one.
        slots: Answers that run at once.
        max_waiting: Answers that may wait beside them.
        explain: Returns the error for requests that were lost with a failed step.
        on_fatal: Called when steps fail again and again.
        log: Where failures go.
        sight: Looks at images; ``None`` where the model sees none.
    """

    def __init__(
        self,
        reader: PromptReader,
        stepper: Stepper[JobT],
        make: Callable[[Job], JobT],
        *,
        slots: int,
        max_waiting: int,
        explain: Callable[[Exception], RouterError],
        on_fatal: Callable[[], None],
        log: logging.Logger,
        sight: Sight | None = None,
    ) -> None:
        self._reader = reader
        self._make = make
        self._slots = slots
        self._max_waiting = max_waiting
        self._explain = explain
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        self._mailboxes: dict[JobT, Mailbox] = {}  # answers that wait or run
        self._sight = sight
        self._looking = 0  # answers whose requests' images are looked at
        self._busy_since = 0.0
        self._seconds = 1.0  # that a request takes, a moving average
        self._dead = False
        self._runner: Runner[JobT] = Runner(
            stepper, self._loop, on_progress=self._deliver, on_failure=self._fail, log=log
        )

    def serve(self, request: ChatRequest | CompletionRequest) -> AsyncIterator[Event]:
        """Answer one request: its answers' events, a ``Finish`` for each, one ``Counted``."""
        usage = Usage()
        return Metered(self._serve(request, usage), usage)

    async def _serve(
        self, request: ChatRequest | CompletionRequest, usage: Usage
    ) -> AsyncGenerator[Event, None]:
        self._refuse_if_full(request)
        images = await self._look(request)
        if images or is_long(request):
            plan, jobs = await asyncio.to_thread(self._read, request, images)
            self._refuse_if_full(request)
        else:
            plan, jobs = self._read(request, images)
        if not any(prompt.limit for prompt in plan.prompts):  # no tokens are wanted
            for job in jobs:
                for event in job.answer.skip():
                    yield event
            _count(usage, plan, jobs)
            yield Counted(usage)
            return
        started = time.monotonic()
        self._note_work()
        mailbox = Mailbox(self._loop)
        self._mailboxes.update(dict.fromkeys(jobs, mailbox))
        self._runner.submit(jobs)
        unfinished = len(jobs)
        try:
            while unfinished:
                for event in await mailbox.take():
                    if type(event) is Finish:
                        unfinished -= 1
                    yield event
            self._seconds += 0.1 * (time.monotonic() - started - self._seconds)
            _count(usage, plan, jobs)
            yield Counted(usage)
        finally:
            running = set(islice(self._mailboxes, self._slots))
            left = [job for job in jobs if self._mailboxes.pop(job, None) is not None]
            if left:
                await self._runner.cancel(left)
                if len(left) < len(jobs) or not running.isdisjoint(left):  # else they still waited
                    _count(usage, plan, jobs)

    def health(self) -> Health:
        """Return how the engine does; see ``Engine.health``."""
        live = len(self._mailboxes) + self._looking
        if not live:
            return Health()
        since = max(self._busy_since, self._runner.stepped_at)
        return Health(
            running=min(live, self._slots),
            queued=max(0, live - self._slots),
            step_age=max(0.0, time.monotonic() - since),
        )

    async def close(self) -> None:
        """Stop the thread and end what still runs."""
        self._dead = True
        await asyncio.to_thread(self._runner.stop)
        for mailbox in self._mailboxes.values():
            mailbox.fail(EngineDead("The engine has been stopped."))
        self._mailboxes.clear()

    async def _look(self, request: ChatRequest | CompletionRequest) -> Sequence[Seen]:
        """Look at the request's images; they are work, and take the places of its answers meanwhile."""
        if self._sight is None or not isinstance(request, ChatRequest):
            return ()
        if next(images_of(request), None) is None:
            return ()
        self._note_work()
        self._looking += request.choices
        try:
            return await self._sight.look(request, self._runner.call)
        finally:
            self._looking -= request.choices

    def _note_work(self) -> None:
        if not (self._mailboxes or self._looking):
            self._busy_since = time.monotonic()

    def _read(
        self, request: ChatRequest | CompletionRequest, images: Sequence[Seen]
    ) -> tuple[Plan, list[JobT]]:
        plan = self._reader.read(request, images)
        return plan, [self._make(job) for job in plan.jobs()]

    def _refuse_if_full(self, request: ChatRequest | CompletionRequest) -> None:
        if self._dead:
            raise EngineDead("The engine has failed.")
        answers = request.choices
        live, room = len(self._mailboxes) + self._looking, self._slots + self._max_waiting
        if live + answers <= room:
            return
        if answers > room:
            raise InvalidValue(
                f"This model takes at most {room} answers at once; the request asks for {answers}.",
                param="n" if (request.n or 1) > 1 else "prompt",
            )
        waiting = max(0, live - self._slots)
        seconds = self._seconds * (waiting + answers) / self._slots
        raise Overloaded(
            f"The model is busy: {waiting} requests wait already. Please try again later.",
            retry_after=min(60, max(1, math.ceil(seconds))),
        )

    def _deliver(self, news: Sequence[tuple[JobT, list[Event]]]) -> None:
        for job, events in news:
            mailbox = self._mailboxes.get(job)
            if mailbox is None:  # cancelled meanwhile
                continue
            if events:
                mailbox.put(job.answer.index, events)
                # Not the answer's own word: it belongs to the thread, which may be some steps ahead.
                if type(events[-1]) is Finish:
                    del self._mailboxes[job]
            elif job.chooser.failure is not None:
                del self._mailboxes[job]
                mailbox.fail(job.chooser.failure)

    def _fail(self, jobs: Sequence[JobT], failure: Exception, fatal: bool) -> None:
        error = self._explain(failure)
        # Beyond repair, those that have come meanwhile would wait for ever.
        for job in list(self._mailboxes) if fatal else jobs:
            mailbox = self._mailboxes.pop(job, None)
            if mailbox is not None:
                mailbox.fail(error)
        if fatal:
            self._dead = True
            self._loop.call_later(_GRACE, self._on_fatal)


def _count(usage: Usage, plan: Plan, jobs: Sequence[Job]) -> None:
    usage.prompt_tokens = sum(len(prompt.tokens) for prompt in plan.prompts)
    usage.completion_tokens = sum(job.answer.tokens for job in jobs)
    usage.cached_tokens = sum(job.cached for job in jobs[:: plan.n])
