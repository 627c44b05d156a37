"""The main process's watch over gateways and supervisor, with processes that only seem to be some."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from multiprocessing import Pipe
from types import SimpleNamespace
from typing import Any

import pytest

from hoonify_router.processes import CANNOT_START, ProcessWatch


class Actor:
    """Looks like one of Sanic's processes.

    Args:
        name: Its name.
        dies_unseen: It ends right after it has been seen alive, before anybody waits for it.
    """

    pid = None

    def __init__(self, name: str, *, dies_unseen: bool = False) -> None:
        self.name = name
        self.exitcode: int | None = None
        self._dies_unseen = dies_unseen
        self._read, self._write = os.pipe()
        self._current_process = SimpleNamespace(sentinel=self._read)

    def is_alive(self) -> bool:
        alive = self.exitcode is None
        if alive and self._dies_unseen:
            self.die(CANNOT_START)
        return alive

    def die(self, status: int) -> None:
        self.exitcode = status
        os.close(self._write)

    def close(self) -> None:
        os.close(self._read)
        if self.exitcode is None:
            os.close(self._write)


class Manager:
    """As much of Sanic's manager as the watch needs."""

    def __init__(self, *actors: Actor) -> None:
        self.workers = [SimpleNamespace(processes=actors)]
        self.monitor_subscriber, self._publisher = Pipe()

    def start(self) -> None:
        """Start nothing; actors live from the beginning."""

    def cleanup(self) -> None:
        for actor in self.workers[0].processes:
            actor.close()
        self.monitor_subscriber.close()
        self._publisher.close()


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Give the test process its signal handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.timeout(20)
def test_it_never_sleeps_past_a_process_that_ends_between_two_looks() -> None:
    """A process that ends after it was seen alive and before the wait is noticed at once."""
    manager: Any = Manager(Actor("first", dies_unseen=True), Actor("second", dies_unseen=True))
    watch = ProcessWatch(manager, patience=5.0)
    began = time.monotonic()
    watch.run()
    assert time.monotonic() - began < 2.5
    assert watch.status == CANNOT_START
