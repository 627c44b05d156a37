"""The engine's one thread: it alone touches the model, and tells the event loop what each step brought."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from hoonify_router.errors import EngineDead
from hoonify_router.types import Event

_FATAL_AFTER = 3  # failed steps in a row

JobT = TypeVar("JobT")
T = TypeVar("T")


class BeyondRepair(Exception):
    """A step failed in a way that the next one would, too: the engine's process must end."""


class Stepper(Protocol[JobT]):
    """Runs answers, one step at a time; only the thread calls it."""

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""

    def submit(self, job: JobT) -> None:
        """Put an answer at the end of the queue."""

    def cancel(self, job: JobT) -> None:
        """Forget an answer, its room is free at once; one that has ended is fine too."""

    def abandon(self) -> list[JobT]:
        """Forget all answers after a failure, and return them."""

    def step(self) -> Sequence[tuple[JobT, list[Event]]]:
        """Do one turn and return what it brought to whom; ``BeyondRepair`` ends it all at once."""


class Runner(Generic[JobT]):
    """Runs a stepper in a thread.

    ``submit``, ``cancel``, ``call`` and ``stop`` may be called from the event loop. Each step's news go there in one
    piece, however many answers they are for.

    Args:
        stepper: Only the thread calls it from now on.
        loop: Where the callbacks are called.
        on_progress: Gets what a step brought.
        on_failure: Gets the answers that a failed step has ended, the exception, and whether the engine is
            beyond repair: then the thread has ended.
        log: Where failures go.
        name: The thread's.
    """

    def __init__(
        self,
        stepper: Stepper[JobT],
        loop: asyncio.AbstractEventLoop,
        *,
        on_progress: Callable[[Sequence[tuple[JobT, list[Event]]]], None],
        on_failure: Callable[[Sequence[JobT], Exception, bool], None],
        log: logging.Logger,
        name: str = "engine",
    ) -> None:
        self._stepper = stepper
        self._loop = loop
        self._on_progress = on_progress
        self._on_failure = on_failure
        self._log = log
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._ended = False
        self.stepped_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, jobs: Sequence[JobT]) -> None:
        """Let a request's answers wait for their turn."""

        def submit() -> None:
            for job in jobs:
                self._stepper.submit(job)

        self._tell(submit)

    def cancel(self, jobs: Sequence[JobT]) -> asyncio.Future[None]:
        """Drop answers before the next step; the future is done when their room is free."""
        free: asyncio.Future[None] = self._loop.create_future()

        def settle() -> None:
            if not free.done():
                free.set_result(None)

        def cancel() -> None:
            try:
                if not self._ended:
                    for job in jobs:
                        self._stepper.cancel(job)
            finally:
                self._call(settle)

        self._tell(cancel)
        if self._ended:  # nobody else looks into the inbox any more
            self._clear_inbox()
        return free

    def call(self, what: Callable[[], T]) -> asyncio.Future[T]:
        """Have something done in the thread before the next step, and return what comes of it.

        If the future is cancelled before, it is not done. Only ``BeyondRepair`` goes further than to its caller.
        """
        done: asyncio.Future[T] = self._loop.create_future()

        def settle(result: T | None, failure: Exception | None) -> None:
            if done.done():
                return
            if failure is None:
                done.set_result(result)  # type: ignore[arg-type]  # there is one then
            else:
                done.set_exception(failure)

        def call() -> None:
            if done.cancelled():
                return
            if self._ended:
                self._call(settle, None, EngineDead("The engine has failed."))
                return
            try:
                result = what()
            except Exception as exc:
                if isinstance(exc, BeyondRepair):
                    failed = EngineDead("The engine failed while it held the request.")
                    self._call(settle, None, failed)
                    raise
                self._call(settle, None, exc)
            else:
                self._call(settle, result, None)

        self._tell(call)
        if self._ended:
            self._clear_inbox()
        return done

    def stop(self) -> None:
        """End the thread after its current step, and wait for that."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _tell(self, what: Callable[[], None]) -> None:
        self._inbox.append(what)
        self._wake.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopping and failures < _FATAL_AFTER:
            if not (self._inbox or self._stepper.busy):
                self._wake.wait()
                self._wake.clear()  # before the inbox is looked at, so that nothing is missed
                self.stepped_at = time.monotonic()
                continue
            try:
                self._clear_inbox()
                progress = self._stepper.step()
            except Exception as exc:
                failures += _FATAL_AFTER if isinstance(exc, BeyondRepair) else 1
                self._log.exception("a step of the engine failed")
                lost = self._stepper.abandon()
                self._call(self._on_failure, lost, exc, failures >= _FATAL_AFTER)
            else:
                failures = 0
                if progress:
                    self._call(self._on_progress, progress)
            self.stepped_at = time.monotonic()
        self._ended = True
        self._clear_inbox()

    def _clear_inbox(self) -> None:
        while self._inbox:
            try:
                what = self._inbox.popleft()
            except IndexError:  # at the very end the event loop may be quicker
                return
            what()

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        # The loop may be closed already when the worker is going down.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)
