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

JobT = TypeVar("JobT")
NewsT = TypeVar("NewsT")
_NewsT_co = TypeVar("_NewsT_co", covariant=True)

_FATAL_AFTER = 3  # failed steps in a row


class Turns(Protocol[JobT, _NewsT_co]):
    """What the thread needs of a scheduler."""

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""

    def submit(self, job: JobT) -> None:
        """Let a request wait for its turn."""

    def cancel(self, job: JobT) -> None:
        """Forget a request; one that has ended is fine too."""

    def step(self) -> Sequence[_NewsT_co]:
        """Do one turn and return what it brought."""

    def abandon(self) -> Sequence[JobT]:
        """Forget the requests that a failed step has spoilt, and return them."""


class Runner(Generic[JobT, NewsT]):
    """Runs a scheduler in a thread.

    ``submit``, ``cancel`` and ``stop`` may be called from any thread. Each step's news go to the event loop
    in one piece, however many requests they are for.

    Args:
        scheduler: Only the thread calls it from now on.
        loop: Where the callbacks are called.
        on_progress: Gets what a step brought.
        on_failure: Gets the requests that a failed step has ended, the exception, and whether the engine is
            beyond repair: then the thread has ended.
        log: Where failures go.
    """

    def __init__(
        self,
        scheduler: Turns[JobT, NewsT],
        loop: asyncio.AbstractEventLoop,
        *,
        on_progress: Callable[[Sequence[NewsT]], None],
        on_failure: Callable[[Sequence[JobT], Exception, bool], None],
        log: logging.Logger,
    ) -> None:
        self._scheduler = scheduler
        self._loop = loop
        self._on_progress = on_progress
        self._on_failure = on_failure
        self._log = log
        self._inbox: deque[tuple[Callable[[JobT], None], JobT]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self.stepped_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="onnx-engine", daemon=True)
        self._thread.start()

    def submit(self, job: JobT) -> None:
        """Let a request wait for its turn."""
        self._tell(self._scheduler.submit, job)

    def cancel(self, job: JobT) -> None:
        """Drop a request; its row is free at the next step."""
        self._tell(self._scheduler.cancel, job)

    def stop(self) -> None:
        """End the thread after its current step, and wait for that."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _tell(self, what: Callable[[JobT], None], job: JobT) -> None:
        self._inbox.append((what, job))
        self._wake.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopping and failures < _FATAL_AFTER:
            if not (self._inbox or self._scheduler.busy):
                self._wake.wait()
                self._wake.clear()  # before the inbox is looked at, so that nothing is missed
                self.stepped_at = time.monotonic()
                continue
            try:
                while self._inbox:
                    what, job = self._inbox.popleft()
                    what(job)
                progress = self._scheduler.step()
            except Exception as exc:
                failures += 1
                self._log.exception("a step of the engine failed")
                lost = self._scheduler.abandon()
                self._call(self._on_failure, lost, exc, failures >= _FATAL_AFTER)
            else:
                failures = 0
                if progress:
                    self._call(self._on_progress, progress)
            self.stepped_at = time.monotonic()

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        # The loop may be closed already when the worker is going down.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)
