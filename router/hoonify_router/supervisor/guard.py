"""The guard of a launched server: a small process between the router and a program that knows nothing of it.

    python -I -S guard.py -- PROGRAM ARGUMENT...

Standard input is the death pipe: when it closes, because the supervisor is gone, by whatever signal, all that
the program has started is killed. SIGTERM is passed on to the program alone, which tells its own children.
When the program ends, what it left behind is killed, and the guard ends as the program did.

Run by path and without site packages, so it holds nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_NO_PROGRAM = 127


def main(arguments: list[str]) -> None:
    """Run the program and never return."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphans of the program become ours, and are found
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    pipe = os.dup(0)
    try:
        program = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_guard,  # noqa: PLW1509 - there is one thread only
        )
    except OSError as error:
        print(f"{arguments[0]} cannot be started: {error}", file=sys.stderr, flush=True)
        os._exit(_NO_PROGRAM)
    while program.poll() is None:
        ready, _, _ = select.select([pipe, wake_read], [], [])
        if pipe in ready and not _read(pipe):
            break
        if wake_read in ready:
            told = os.read(wake_read, 64)
            if signal.SIGTERM in told or signal.SIGINT in told:
                program.terminate()
    status = program.poll()
    _kill_the_rest()
    _leave_as(status)


def _die_with_guard() -> None:
    """Let the kernel kill the program when somebody kills the guard."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    """Linux has it; elsewhere the process group has to do."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _read(pipe: int) -> bytes:
    try:
        return os.read(pipe, 4096)
    except OSError:
        return b""


def _kill_the_rest() -> None:
    """Kill all that descends from us, wherever it has moved to, until nothing is left."""
    for _ in range(100):  # what is killed may be in the middle of starting more
        descendants = _descendants()
        if not descendants:
            return
        for pid in descendants:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        select.select([], [], [], 0.01)


def _descendants() -> list[int]:
    """Return the processes that descend from us, by /proc; ended ones that wait for us to look are none."""
    children: dict[int, list[int]] = {}
    try:
        names = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    for pid in names:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except OSError:
            continue
        if state != b"Z" or int(parent) != os.getpid():
            children.setdefault(int(parent), []).append(pid)
    found: list[int] = []
    front = [os.getpid()]
    while front:
        below = children.get(front.pop(), [])
        found += below
        front += below
    return found


def _leave_as(status: int | None) -> None:
    """End as the program did; where that cannot be told, by SIGKILL, with the whole group."""
    if status is not None and status >= 0:
        os._exit(status)
    number = signal.SIGKILL if status is None else -status
    if number == signal.SIGKILL and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    with contextlib.suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--") + 1 :])
