"""The death pipe: a worker never outlives its supervisor, whatever ends that."""

from __future__ import annotations

import os
import signal
import threading


def hold() -> None:
    """Watch standard input from a thread of its own; its end is the end of this process group.

    A thread and not the event loop, because an engine may block the loop. The pipe moves away from
    descriptor 0, so that nothing the engine starts or reads gets hold of it.
    """
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    threading.Thread(target=_wait, args=(pipe,), name="lifeline", daemon=True).start()


def _wait(pipe: int) -> None:
    try:
        while os.read(pipe, 4096):
            pass
    except OSError:
        pass  # a broken pipe is an end as well
    end_process_group()


def end_process_group() -> None:
    """Kill this process and, when it leads a group of its own, everything the engine has started."""
    if os.getpgrp() == os.getpid():  # else the group is a shell's: started by hand
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
