"""No process outlives the main one, whatever ends it."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Awaitable, Callable, Iterable
from multiprocessing.connection import wait
from pathlib import Path


def when_parent_dies(then: Callable[[], Awaitable[None]]) -> None:
    """Run ``then`` in the current event loop when the process that started this one is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()
    sentinel = parent.sentinel

    def gone() -> None:
        loop.remove_reader(sentinel)
        asyncio.ensure_future(then())  # noqa: RUF006 - it ends the process

    loop.add_reader(sentinel, gone)


def clean_up_after_parent(helpers: Iterable[int], runtime_dir: Path) -> None:
    """Do what a main process that was killed could not: end its helpers, remove its folder.

    Args:
        helpers: Process ids of what it had started beside us and what does not watch it.
        runtime_dir: Folder for its sockets.
    """
    for pid in helpers:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(runtime_dir, ignore_errors=True)


def clean_up_in_background(helpers: Iterable[int], runtime_dir: Path) -> None:
    """Wait in a thread for the parent's end, for a process whose event loop is not ours."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for others
        wait([parent.sentinel])
        clean_up_after_parent(helpers, runtime_dir)

    threading.Thread(target=watch, name="orphan-watch", daemon=True).start()
