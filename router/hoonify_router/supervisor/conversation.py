"""Questions and answers over one connection of the control socket, in both directions."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from hoonify_router.errors import (
    ModelUnavailable,
    Overloaded,
    RouterError,
    TotalTimeout,
    error_kinds,
)
from hoonify_router.supervisor.commands import MAX_ARGUMENTS, Commands
from hoonify_router.supervisor.messages import Ask, Noted, Refused, Told

GONE = "The router's supervisor cannot be reached."

MAX_WAITING = 64
"""Questions of one asker that may be open at the same time."""

_NOTE = 500  # characters


@dataclass(frozen=True)
class _Call:
    answer: asyncio.Future[Told | Refused]
    tell: Callable[[str], None]


class Conversation:
    """What one side of a connection has asked and is being asked.

    Args:
        commands: What the other side may ask for.
        send: Sends a frame; does nothing when the other side is gone.
        gone: What to say when it leaves before it has answered.
    """

    def __init__(
        self, commands: Commands, send: Callable[[Struct], None], gone: str = GONE
    ) -> None:
        self._commands = commands
        self._send = send
        self._gone = gone
        self._over = False
        self._numbers = itertools.count(1)
        self._open: dict[int, _Call] = {}
        self._answering: set[asyncio.Task[None]] = set()

    async def ask(
        self,
        command: str,
        arguments: Mapping[str, Any] | Struct | None = None,
        *,
        who: str = "",
        patience: float | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> Any:
        """Ask the other side for a command and return its answer as plain data.

        Args:
            command: Its name.
            arguments: What it takes.
            who: Whom it is for.
            patience: Seconds to wait; ``None`` is as long as the other side is there.
            tell: Called with each line about it meanwhile.

        Raises:
            RouterError: What the other side says, or that it is gone or takes too long.
        """
        if self._over:
            raise ModelUnavailable(self._gone, retry_after=1)
        number = next(self._numbers)
        answer: asyncio.Future[Told | Refused] = asyncio.get_running_loop().create_future()
        self._open[number] = _Call(answer, tell)
        try:
            self._send(Ask(number, command, msgspec.to_builtins(arguments or {}), who))
            async with asyncio.timeout(patience):
                told = await answer
        except TimeoutError:
            raise TotalTimeout(f"No answer to '{command}' within {patience:g} s.") from None
        finally:
            del self._open[number]
        if isinstance(told, Refused):
            raise _error(told)
        return msgspec.msgpack.decode(told.content)

    def hear(self, frame: Ask | Noted | Told | Refused) -> None:
        """Take what the other side says."""
        if isinstance(frame, Ask):
            if len(self._answering) >= MAX_WAITING or len(repr(frame.arguments)) > MAX_ARGUMENTS:
                told = "Too much is asked at once."
                self._send(Refused(frame.call, Overloaded.__name__, told, None, 1.0))
                return
            task = asyncio.create_task(self._answer(frame))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif (call := self._open.get(frame.call)) is not None:
            if isinstance(frame, Noted):
                call.tell(frame.text)
            elif not call.answer.done():
                call.answer.set_result(frame)

    def end(self) -> None:
        """Hear that the other side is gone."""
        self._over = True
        for task in tuple(self._answering):
            task.cancel()
        for call in self._open.values():
            if not call.answer.done():
                call.answer.set_exception(ModelUnavailable(self._gone, retry_after=1))

    async def _answer(self, ask: Ask) -> None:
        def tell(text: str) -> None:
            self._send(Noted(ask.call, text[:_NOTE]))

        self._send(await self._commands.answer(ask, tell))


def _error(told: Refused) -> RouterError:
    kind = error_kinds().get(told.kind, RouterError)
    return kind(told.message, param=told.param, retry_after=told.retry_after)
