"""The main process's work: start gateways and supervisor, start again what dies, stop in good order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType

from sanic.worker.manager import WorkerManager
from sanic.worker.process import WorkerProcess

from hoonify_router.supervisor import RELOAD_SIGNAL

log = logging.getLogger(__name__)

CANNOT_START = 2
"""Exit status of a process that has said why it cannot start; to start it again would not help."""

_NOT_FOR_CHILDREN = (signal.SIGINT, signal.SIGHUP, RELOAD_SIGNAL)
STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Signals that stop a router in good order; so does SIGHUP when it says that the terminal is gone."""

HEARD = (*STOPPING, signal.SIGHUP)
"""Signals that the main process heeds."""

_SUPERVISOR = "supervisor"

_HURRY = signal.SIGUSR2
_STOPPING = "stopping"
_LAST_WORDS = 4.0
_QUICK = 10.0
_GIVE_UP_AFTER = 5
_LONGEST_PAUSE = 30.0
_LONGEST_PAUSE_OF_KILLED = 5.0


class ProcessWatch:
    """Runs the processes of one Sanic manager, in place of the manager's own loop.

    Sanic's loop does not start a dead process again, gives every one ten seconds to leave and then
    kills it in mid-answer; and Ctrl-C, which the terminal sends to all processes, reaches its children
    twice. Here children never hear the terminal itself, only SIGTERM from this process, once; they
    drain for up to ``patience`` seconds. A second Ctrl-C lets them end what still runs with an error, and a third one kills them.

    Args:
        manager: Has the processes.
        patience: Seconds that they may take to stop.
        runtime_dir: Folder that they share: there they find that a stop has begun which they could not hear.

    Attributes:
        status: Exit status of the whole: 0, 2 when a process has said why it cannot start, 1 when one
            could not be kept running.
    """

    def __init__(self, manager: WorkerManager, patience: float, runtime_dir: Path) -> None:
        self._manager = manager
        self._patience = patience
        self._stopping = runtime_dir / _STOPPING
        self._signals = 0
        self._reloads = 0
        self._passed_on = 0
        self._terminal = _has_terminal()
        self.status = 0
        self._quick_deaths: dict[str, int] = {}
        self._started: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)

    def run(self) -> None:
        """Start everything and return when everything has ended."""
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup: no terminal counts
            self._terminal = False
        for number in HEARD:
            signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        if not self._signals:
            with signals_held_back(_NOT_FOR_CHILDREN):
                self._manager.start()  # type: ignore[no-untyped-call]
        for process in self._processes():
            self._started[process.name] = time.monotonic()
        try:
            self._watch()
            self._stop()
        finally:
            self._manager.cleanup()  # type: ignore[no-untyped-call]
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP and not (self._terminal and not _has_terminal()):
            self._reloads += 1
        else:
            self._signals += 1
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"!")

    def _processes(self) -> list[WorkerProcess]:
        return [process for worker in self._manager.workers for process in worker.processes]

    def _wait(self, seconds: float | None, watched: list[WorkerProcess]) -> None:
        """Wait until one of ``watched`` ends, a signal comes, or ``seconds`` are over.

        A process that has ended since somebody looked ends the wait at once: its sentinel stays ready.
        """
        messages: Connection[object, object] = self._manager.monitor_subscriber
        sentinels = [process._current_process.sentinel for process in watched]
        ready = wait([self._wake_read, messages, *sentinels], seconds)
        if self._wake_read in ready:
            os.read(self._wake_read, 64)
        if messages in ready:
            with contextlib.suppress(EOFError, OSError):
                messages.recv()  # a gateway that cannot start says so; its end is seen anyway

    def _next_due(self) -> float | None:
        if not self._due:
            return None
        return max(0.0, min(self._due.values()) - time.monotonic())

    # ------------------------------------------------------------ while all is well

    def _watch(self) -> None:
        """Return when it is time to stop."""
        try:
            while not self._signals:
                self._start_again_what_died()
                if self.status:
                    return
                self._pass_on_reload()
                known = self._due  # these have ended, their turn to be started again will come
                watched = [one for one in self._processes() if one.name not in known]
                self._wait(self._next_due(), watched)
        except Exception:  # such as that Sanic's own helper process, which it needs, was killed
            log.exception("stopping, because the processes cannot be watched any more")
            self.status = 1

    def _pass_on_reload(self) -> None:
        """Tell the supervisor that somebody wants the configuration to be read again."""
        if self._passed_on == self._reloads:
            return
        self._passed_on = self._reloads
        for process in self._processes():
            if _SUPERVISOR in process.name and _lives(process) and process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, RELOAD_SIGNAL)

    def _start_again_what_died(self) -> None:
        now = time.monotonic()
        for process in self._processes():
            if _lives(process) or self._signals:
                continue
            due = self._due.get(process.name)
            if due is None:
                self._due[process.name] = now + self._pause_after(process, now)
                due = self._due[process.name]
            if self.status:
                return
            if due <= now:
                del self._due[process.name]
                self._started[process.name] = now
                with signals_held_back(_NOT_FOR_CHILDREN):
                    process.restart()  # type: ignore[no-untyped-call]

    def _pause_after(self, process: WorkerProcess, now: float) -> float:
        """Return how long to wait before a dead process is started again."""
        name, status = process.name, process.exitcode
        deaths = self._quick_deaths.get(name, 0)
        deaths = deaths + 1 if now - self._started[name] < _QUICK else 0
        self._quick_deaths[name] = deaths
        was_killed = (
            status is not None and status < 0
        )  # by somebody else: it may well live next time
        if status == CANNOT_START or (deaths >= _GIVE_UP_AFTER and not was_killed):
            if status != CANNOT_START:
                log.error("%s keeps ending (%s); giving up", _title(name), _describe(status))
            self.status = CANNOT_START if status == CANNOT_START else 1
            return 0.0
        longest = _LONGEST_PAUSE_OF_KILLED if was_killed else _LONGEST_PAUSE
        pause = min(longest, 0.5 * 2.0 ** min(deaths - 1, 16)) if deaths > 1 else 0.0
        log.error("%s ended (%s); starting it again", _title(name), _describe(status))
        return pause

    # ------------------------------------------------------------ the end

    def _stop(self) -> None:
        deadline = time.monotonic() + self._patience
        asked = presses = self._signals
        if asked:
            with contextlib.suppress(OSError, ValueError):  # nobody may be reading any more
                print("\nStopping. Ctrl-C again cuts what still runs.", file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            self._stopping.touch()  # before the signal: whoever misses that finds this
        self._send(signal.SIGTERM)
        while running := [process for process in self._processes() if _lives(process)]:
            if presses < self._signals:
                first, presses = presses == asked, self._signals
                if first:  # gateways tell their clients, then they leave
                    deadline = min(deadline, time.monotonic() + _LAST_WORDS)
                    self._send(_HURRY, _is_gateway)
                    self._send(signal.SIGTERM, lambda process: not _is_gateway(process))
                else:
                    deadline = time.monotonic()
            left = deadline - time.monotonic()
            if left <= 0:
                self._send(signal.SIGKILL)
                left = 1.0
            self._close_doors()
            self._wait(left, running)

    def _close_doors(self) -> None:
        """Close the doors behind gateways that have left: who comes now is to meet one that still answers."""
        for process in self._processes():
            door = process.kwargs.get("sock")
            if door is not None and not _lives(process):
                door.close()

    def _send(
        self, number: signal.Signals, to: Callable[[WorkerProcess], bool] = lambda process: True
    ) -> None:
        for process in self._processes():
            if _lives(process) and process.pid and to(process):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, number)


def hear_one_stop(
    runtime_dir: Path, stop: Callable[[], object], hurry: Callable[[], object]
) -> None:
    """Call ``stop`` once when this process is told to stop, or has been before it could hear it.

    Called on the event loop of a gateway. Until then SIGTERM just ends the process, which has nothing to lose, or
    Sanic ignores it for a moment. Further ones change nothing: whatever drains is not cut by them.

    Args:
        runtime_dir: The folder that the ``ProcessWatch`` writes to.
        stop: What is to be done.
        hurry: What is to be done when somebody will not wait for the end of that; may be called more than once.
    """
    loop = asyncio.get_running_loop()

    def heed() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        loop.remove_signal_handler(signal.SIGTERM)  # back to its default, for a moment
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        stop()

    loop.add_signal_handler(_HURRY, hurry)
    loop.add_signal_handler(signal.SIGTERM, heed)
    if (runtime_dir / _STOPPING).exists():
        heed()


@contextlib.contextmanager
def signals_held_back(numbers: Iterable[signal.Signals] = HEARD) -> Iterator[None]:
    """Block signals: here they are only late, and processes started meanwhile never hear them."""
    resource_tracker.ensure_running()  # whoever starts it under the mask lifts the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _has_terminal() -> bool:
    """Tell whether one of the standard streams is a terminal that is still there."""
    return any(os.isatty(number) for number in (0, 1, 2))


def _lives(process: WorkerProcess) -> bool:
    return bool(process.is_alive())  # type: ignore[no-untyped-call]


def _is_gateway(process: WorkerProcess) -> bool:
    return str(process.name).startswith("Sanic-Server-")


def _title(name: str) -> str:
    """Return what an operator calls the process that Sanic calls ``Sanic-Server-0-0``."""
    kind, _, number = name.removeprefix("Sanic-").rpartition("-")[0].partition("-")
    return f"gateway {number}" if kind == "Server" else f"the {kind or name}"


def _describe(status: int | None) -> str:
    if status is not None and status < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
