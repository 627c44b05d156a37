"""An engine's process: started into a group of its own, listened to, and ended for good."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

log = logging.getLogger("hoonify_router.engine")

_TAIL_LINES = 20
_LINE_LIMIT = 400
_BREAK = re.compile(rb"[\r\n]+")
_REAP_TIMEOUT = 5.0
_GUARD_TIMEOUT = 2.0
_LAST_WORDS_TIMEOUT = 0.2


class EngineProcess(asyncio.SubprocessProtocol):
    """A running engine worker; make one with ``await EngineProcess.start(...)``.

    Built on the transport and not on ``asyncio.subprocess``, whose ``wait`` also waits for pipes that
    an engine's children may hold open.
    """

    def __init__(
        self, name: str, on_line: Callable[[str], None] | None = None, secret: str = ""
    ) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self._silent: asyncio.Future[None] = loop.create_future()
        self._name = name
        self._on_line = on_line
        self._secret = secret
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._rest = b""

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        name: str,
        cwd: Path,
        variables: Mapping[str, str] | None = None,
        *,
        on_line: Callable[[str], None] | None = None,
        secret: str = "",
    ) -> EngineProcess:
        """Start ``command`` as the leader of a new session, so that a terminal's Ctrl-C misses it.

        Its standard input is the death pipe: it stays open as long as this process lives.

        Args:
            command: Program and arguments.
            name: For the log.
            cwd: Where it runs.
            variables: What its environment has beside our own.
            on_line: Called with each line that it writes.
            secret: What must not be in the log, although it may write it.

        Raises:
            OSError: It cannot be started.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SANIC_")}
        environment["PYTHONUNBUFFERED"] = "1"
        environment["PYTHONSAFEPATH"] = "1"  # nothing in the working folder shadows a module
        environment.update(variables or {})
        _, process = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(name, on_line, secret),
            *command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=cwd,
            env=environment,
        )
        return process

    @property
    def pid(self) -> int:
        """Return its process id, which is its group's as well."""
        pid = self._transport.get_pid()
        assert pid is not None
        return pid

    @property
    def tail(self) -> str:
        """Return the last lines that it wrote."""
        return "\n".join(self._tail)

    @property
    def ending(self) -> str:
        """Return how it ended, in words; empty while it runs."""
        status = self._transport.get_returncode()
        if status is None:
            return ""
        if status >= 0:
            return f"exit status {status}"
        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM to the process alone; it tells its children itself."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGTERM)

    def hang_up(self) -> None:
        """Close the death pipe, as the end of this process would."""
        if (pipe := self._transport.get_pipe_transport(0)) is not None:
            pipe.close()

    async def end(self, grace: float, *, alone: bool = False) -> None:
        """End the whole group: SIGTERM, then SIGKILL after ``grace`` seconds; return when it is gone.

        Args:
            grace: Seconds between the two; without any there is no SIGTERM.
            alone: SIGTERM is for the leader alone, and before SIGKILL it is told by its death pipe to kill
                whatever it has started, in other groups too.
        """
        if grace > 0 and not self.exited.done():
            if alone:
                self.terminate()
            else:
                self.signal(signal.SIGTERM)
            await asyncio.wait({self.exited}, timeout=grace)
        if alone and not self.exited.done():
            self.hang_up()
            await asyncio.wait({self.exited}, timeout=_GUARD_TIMEOUT)
        self.signal(signal.SIGKILL)  # also when the leader is gone: it may have left children
        await asyncio.wait({self.exited}, timeout=_REAP_TIMEOUT)
        if not self.exited.done():
            log.error("[%s] process %d does not die", self._name, self.pid)
        await asyncio.wait({self._silent}, timeout=_LAST_WORDS_TIMEOUT)
        self._transport.close()

    # ------------------------------------------------------------ from the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what it wrote, line by line; a progress bar's carriage return ends a line too."""
        *lines, self._rest = _BREAK.split(self._rest + data)
        for line in lines:
            self._note(line)
        if len(self._rest) > _LINE_LIMIT * 4:
            self._note(self._rest)
            self._rest = b""

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Note that nobody of its group can write any more."""
        if fd == 1 and not self._silent.done():
            self._note(self._rest)
            self._silent.set_result(None)

    def process_exited(self) -> None:
        """Note that it is gone and reaped."""
        if not self.exited.done():
            self.exited.set_result(None)

    def _note(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if self._secret:
            text = text.replace(self._secret, "...")
        if self._on_line is not None and text:
            self._on_line(text)
        text = text[:_LINE_LIMIT]
        if text:
            self._tail.append(text)
            log.info("[%s] %s", self._name, text)
