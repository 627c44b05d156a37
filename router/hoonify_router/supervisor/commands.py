"""What may be asked of a process over the control socket: one table of commands, each with its own arguments.

The supervisor has such a table for the command line and the gateways' admin routes; each gateway has a small one for
the supervisor. Whoever asks gets an answer or an error, whatever the command does: a bug in it, an answer that
cannot be written and a command that never ends are errors like any other.

Example::

    class Greet(Struct, forbid_unknown_fields=True):
        name: str


    async def greet(arguments: Greet, asker: Asker) -> dict[str, str]:
        asker.tell("clearing my throat")
        return {"said": f"hello {arguments.name}"}


    commands = Commands()
    commands.add("greet", greet, Greet)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from hoonify_router.discretion import without_keys
from hoonify_router.errors import InvalidValue, NotFound, Overloaded, RouterError, TotalTimeout
from hoonify_router.supervisor.messages import Ask, Refused, Told

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds that a command may take, if it says nothing else."""

AT_ONCE = 64
"""Commands that may be under way at the same time."""

MAX_ARGUMENTS = 256 * 1024
MAX_CONTENT = 16 * 1024 * 1024
_BUG = "The command '{}' failed: a bug, which the router's log tells more of."


class NoArguments(Struct, forbid_unknown_fields=True):
    """The arguments of a command that takes none."""


@dataclass(frozen=True)
class Asker:
    """Who asks for a command.

    Args:
        who: Whom the history shall name: ``user ada``, ``key k_1234``.
        tell: Sends them a line while the command is under way; never fails.
    """

    who: str = ""
    tell: Callable[[str], None] = lambda text: None


Run = Callable[[Any, Asker], Awaitable[Any]]
"""``await run(arguments, asker)``: what it returns goes to the asker, as does any ``RouterError`` it raises."""


@dataclass(frozen=True)
class _Entry:
    run: Run
    arguments: type[Struct]
    patience: float | None
    goes_on: bool


class Commands:
    """The table."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._under_way: set[asyncio.Task[Any]] = set()

    def add(
        self,
        name: str,
        run: Run,
        arguments: type[Struct] = NoArguments,
        *,
        patience: float | None = PATIENCE,
        goes_on: bool = False,
    ) -> None:
        """Add a command.

        Args:
            name: What it is called.
            run: Does it, on the event loop; must not block.
            arguments: What it takes; with ``forbid_unknown_fields=True``.
            patience: Seconds that it may take; ``None`` is as long as the asker waits.
            goes_on: Whether it goes on to its end when nobody waits for it any more.

        Raises:
            ValueError: There is one of this name already.
        """
        if name in self._entries:
            raise ValueError(f"there is a command {name!r} already")
        self._entries[name] = _Entry(run, arguments, patience, goes_on)

    async def answer(self, ask: Ask, tell: Callable[[str], None]) -> Told | Refused:
        """Do what is asked and return the answer; never raises, but for its own cancellation.

        Args:
            ask: The command, its arguments and who asks.
            tell: Sends the asker a line meanwhile.
        """
        try:
            content = await self._run(ask, tell)
            body = msgspec.msgpack.encode(content)
            if len(body) > MAX_CONTENT:
                raise RouterError(f"The answer to '{ask.command[:100]}' is too large.")
            return Told(ask.call, body)
        except RouterError as error:
            kind = type(error).__name__
            return Refused(ask.call, kind, error.message, error.param, error.retry_after)
        except Exception as bug:
            log.exception("the command %.100r failed", ask.command)
            told = without_keys(f"{_BUG.format(ask.command[:100])} ({type(bug).__name__})")
            return Refused(ask.call, RouterError.__name__, told)

    async def _run(self, ask: Ask, tell: Callable[[str], None]) -> Any:
        entry = self._entries.get(ask.command)
        if entry is None:
            raise NotFound(f"The router has no command '{ask.command[:100]}'.")
        if len(self._under_way) >= AT_ONCE:
            raise Overloaded("The router is busy with other commands.", retry_after=5)
        arguments = _arguments(ask.arguments, entry.arguments)
        task = asyncio.ensure_future(entry.run(arguments, Asker(ask.who, tell)))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task}, timeout=entry.patience)
            if not task.done():
                told = f"The command '{ask.command}' took longer than {entry.patience:g} s."
                raise TotalTimeout(f"{told} It goes on." if entry.goes_on else told)
        finally:
            if not (task.done() or entry.goes_on):
                task.cancel()
        if task.cancelled():
            raise RouterError(f"The command '{ask.command}' was broken off.")
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits hears of it

    async def close(self) -> None:
        """Break off what is under way."""
        for task in tuple(self._under_way):
            task.cancel()
        if self._under_way:
            await asyncio.wait(tuple(self._under_way), timeout=1.0)


def _arguments(given: dict[str, Any], kind: type[Struct]) -> Struct:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$.")
        raise InvalidValue(f"{message}.", param=at.rstrip("`") or None) from None
