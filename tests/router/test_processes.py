"""The main process's watch over gateways and supervisor, with processes that only seem to be some."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from hoonify_router.processes import (
    CANNOT_START,
    HEARD,
    STOPPING,
    ProcessWatch,
    _title,
    hear_one_stop,
    signals_held_back,
)
from hoonify_router.supervisor import RELOAD_SIGNAL


class Actor:
    """Looks like one of Sanic's processes.

    Args:
        name: Its name.
        pid: Its process id.
        dies_unseen: It ends right after it has been seen alive, before anybody waits for it.
    """

    def __init__(self, name: str, pid: int = 0, *, dies_unseen: bool = False) -> None:
        self.name = name
        self.pid = pid
        self.exitcode: int | None = None
        self.kwargs: dict[str, object] = {}
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
    """As much of Sanic's manager as the watch needs.

    Args:
        actors: Its processes, which live from the beginning.
        on_start: What happens while they are started.
    """

    def __init__(self, *actors: Actor, on_start: Callable[[], None] = lambda: None) -> None:
        self.workers = [SimpleNamespace(processes=actors)]
        self.monitor_subscriber, self._publisher = Pipe()
        self.start = on_start

    def cleanup(self) -> None:
        for actor in self.workers[0].processes:
            actor.close()
        self.monitor_subscriber.close()
        self._publisher.close()


class DeadTerminal(io.StringIO):
    """Standard error when its terminal was closed, its pipe is broken, or its disk is full."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Give the test process its signal handlers back; one that runs under nohup must not ignore SIGHUP meanwhile."""
    before = {number: signal.getsignal(number) for number in HEARD}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> Actor:
    """Return one that ends when it is told to."""
    actor = Actor("obedient", pid=1)
    monkeypatch.setattr(os, "kill", lambda pid, number: actor.die(0))
    return actor


def run(manager: Any, patience: float = 60.0, runtime_dir: Path = Path("/nowhere")) -> ProcessWatch:
    watch = ProcessWatch(manager, patience, runtime_dir)
    watch.run()
    return watch


@pytest.mark.timeout(120)
def test_it_never_sleeps_past_a_process_that_ends_between_two_looks() -> None:
    """A process that ends after it was seen alive and before the wait is noticed at once."""
    manager = Manager(Actor("first", dies_unseen=True), Actor("second", dies_unseen=True))
    began = time.monotonic()
    watch = run(manager, patience=60.0)
    assert time.monotonic() - began < 30
    assert watch.status == CANNOT_START


@pytest.mark.timeout(20)
@pytest.mark.parametrize("number", STOPPING)
def test_ctrl_c_and_a_service_manager_stop_it(actor: Actor, number: signal.Signals) -> None:
    """Each of these signals makes it tell its processes to stop, and end well."""
    watch = run(Manager(actor, on_start=lambda: signal.raise_signal(number)))
    assert (watch.status, actor.exitcode) == (0, 0)


@pytest.mark.timeout(20)
async def test_a_gateway_hears_one_stop_however_many_there_are(tmp_path: Path) -> None:
    """What drains is not cut by the second one; and a stop that came too early is found."""
    heard: list[str] = []
    hear_one_stop(tmp_path, lambda: heard.append("stop"), lambda: heard.append("hurry"))
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(60):
            while not heard:  # noqa: ASYNC110 - a signal has no event
                await asyncio.sleep(0)
    assert heard == ["stop"]


@pytest.mark.timeout(20)
async def test_a_gateway_finds_the_stop_that_it_missed(tmp_path: Path, actor: Actor) -> None:
    """It stands in the folder that all processes share, before any of them is told by a signal."""
    heard: list[str] = []
    hear_one_stop(tmp_path, lambda: heard.append("too early"), list)
    assert heard == []
    found_at_the_end: list[list[str]] = []
    die = actor.die
    actor.die = lambda status: (found_at_the_end.append(os.listdir(tmp_path)), die(status))  # type: ignore
    run(Manager(actor, on_start=lambda: signal.raise_signal(signal.SIGTERM)), runtime_dir=tmp_path)
    assert len(found_at_the_end[0]) == 1
    hear_one_stop(tmp_path, lambda: heard.append("found"), list)
    assert heard == ["found"]


@pytest.mark.timeout(20)
def test_a_closed_terminal_stops_it(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal that was there at the start is gone when SIGHUP comes."""
    there = [True]
    monkeypatch.setattr(os, "isatty", lambda number: there[0])

    def hang_up() -> None:
        there[0] = False
        signal.raise_signal(signal.SIGHUP)

    watch = run(Manager(actor, on_start=hang_up))
    assert (watch.status, actor.exitcode) == (0, 0)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("nohup", [False, True])
def test_sighup_is_passed_on_to_the_supervisor(
    monkeypatch: pytest.MonkeyPatch, nohup: bool
) -> None:
    """Where no terminal has gone, it asks for a reload; nohup changes nothing of that."""
    monkeypatch.setattr(os, "isatty", lambda number: nohup)
    if nohup:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    gateway, supervisor = Actor("Sanic-Server-0-0", pid=1), Actor("Sanic-supervisor-0", pid=2)
    sent: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        sent.append((pid, number))
        if number == RELOAD_SIGNAL:
            signal.raise_signal(signal.SIGTERM)
        else:
            gateway.die(0)
            supervisor.die(0)

    monkeypatch.setattr(os, "kill", kill)
    run(Manager(gateway, supervisor, on_start=lambda: signal.raise_signal(signal.SIGHUP)))
    assert sent[0] == (2, RELOAD_SIGNAL)


@pytest.mark.timeout(60)
def test_a_second_press_hurries_gateways_and_a_third_one_kills(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gateways get the time to tell their clients; the supervisor hears that it is urgent."""
    gateway, supervisor = Actor("Sanic-Server-0-0", pid=1), Actor("Sanic-supervisor-0", pid=2)
    names = {1: gateway, 2: supervisor}
    sent: list[tuple[int, int]] = []
    presses = iter([signal.SIGINT, signal.SIGINT])

    def kill(pid: int, number: int) -> None:
        sent.append((pid, number))
        if number == signal.SIGKILL:
            names[pid].die(-number)
        elif pid == 2 and (press := next(presses, None)) is not None:
            signal.raise_signal(press)

    monkeypatch.setattr(os, "kill", kill)
    run(Manager(gateway, supervisor, on_start=lambda: signal.raise_signal(signal.SIGINT)))
    assert sent == [
        (1, signal.SIGTERM),
        (2, signal.SIGTERM),
        (1, signal.SIGUSR2),
        (2, signal.SIGTERM),
        (1, signal.SIGKILL),
        (2, signal.SIGKILL),
    ]


def test_what_was_killed_is_started_again_however_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else did it, it was no failure to start; but ever less hastily."""
    actor = Actor("Sanic-Server-0-0", pid=1)
    watch = ProcessWatch(Manager(actor), 1, Path("/nowhere"))  # type: ignore[arg-type]
    watch._started[actor.name] = 0.0
    actor.exitcode = -signal.SIGKILL
    pauses = [watch._pause_after(actor, 1.0) for _ in range(12)]  # type: ignore[arg-type]
    assert pauses[:5] == [0, 1, 2, 4, 5]
    assert pauses[-1] == 5
    assert watch.status == 0
    actor.exitcode = 3
    watch._pause_after(actor, 1.0)  # type: ignore[arg-type]
    assert watch.status == 1


@pytest.mark.timeout(20)
def test_a_stop_needs_nobody_who_reads(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where standard error is of no use any more, the processes are told to stop all the same."""
    monkeypatch.setattr(sys, "stderr", DeadTerminal())
    watch = run(Manager(actor, on_start=lambda: signal.raise_signal(signal.SIGTERM)))
    assert (watch.status, actor.exitcode) == (0, 0)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_that_comes_too_early_is_only_late(number: signal.Signals) -> None:
    """What is pressed while the router is being put together is obeyed before anything is started."""
    actor = Actor("never started")
    actor.die(0)
    started: list[bool] = []
    with signals_held_back():
        signal.raise_signal(number)
        watch = run(Manager(actor, on_start=lambda: started.append(True)))
    assert (watch.status, started) == (0, [])


@pytest.mark.timeout(20)
def test_what_cannot_be_watched_any_more_is_stopped(
    actor: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    """When a process cannot be started again, the others do not run on without a watch."""
    broken = Actor("broken")
    broken.die(1)
    broken.restart = Mock(side_effect=BrokenPipeError)  # type: ignore[attr-defined]
    watch = run(Manager(broken, actor))
    assert (watch.status, actor.exitcode) == (1, 0)
    assert "stopping, because the processes cannot be watched any more" in caplog.text


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Sanic-Server-0-0", "gateway 0"),
        ("Sanic-Server-11-0", "gateway 11"),
        ("Sanic-supervisor-0", "the supervisor"),
    ],
)
def test_operators_read_names_that_they_know(name: str, title: str) -> None:
    """Not those of the library that runs the processes."""
    assert _title(name) == title
