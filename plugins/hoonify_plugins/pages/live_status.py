"""How the whole router does, asked for once a second at most, however many are watching."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hoonify_router.api import PluginContext
from hoonify_router.errors import NotFound, RouterError

_EVERY = 1.0
_PLAN_EVERY = 3.0
_GENERATIONS = 20


@dataclass(frozen=True, slots=True)
class Pending:
    """What the file on disk says that is not in force.

    Args:
        changes: One line each.
        problems: Why it could not take effect, one line each.
        consequences: What plugins say of it, one line each.
        load_seconds: How long new homes are likely to load.
        digest: Of what was looked at.
    """

    changes: Sequence[str] = ()
    problems: Sequence[str] = ()
    consequences: Sequence[str] = ()
    load_seconds: float | None = None
    digest: str = ""

    def __bool__(self) -> bool:
        return bool(self.changes or self.problems)


class LiveStatus:
    """Asks the supervisor.

    Args:
        context: The router.
    """

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._turn = asyncio.Lock()
        self._status: tuple[float, Mapping[str, Any] | None] = (0.0, None)
        self._pending: tuple[float, Pending] = (0.0, Pending())

    async def status(self) -> Mapping[str, Any] | None:
        """Return the supervisor's snapshot; ``None`` while it is away."""
        async with self._turn:
            until, known = self._status
            if time.monotonic() < until:
                return known
            try:
                told: Mapping[str, Any] | None = await self._context.ask("status", {}, "")
            except RouterError:
                told = None
            self._status = (time.monotonic() + _EVERY, told)
            return told

    async def pending(self) -> Pending:
        """Return what a reload would change; nothing where nobody can tell."""
        until, known = self._pending
        if time.monotonic() < until:
            return known
        self._pending = (time.monotonic() + _PLAN_EVERY, known)  # others need not ask meanwhile
        try:
            told = await self._context.ask("plan", {}, "")
        except NotFound:
            found = Pending()
        except RouterError as error:
            found = Pending(problems=(error.message,))
        else:
            found = _pending_in(told)
        self._pending = (time.monotonic() + _PLAN_EVERY, found)
        return found

    async def history(self) -> Sequence[Mapping[str, Any]]:
        """Return the generations, the newest first; nothing where nobody keeps them."""
        try:
            told = await self._context.ask("history", {}, "")
        except RouterError:
            return ()
        return told[:_GENERATIONS] if isinstance(told, list) else ()

    def forget(self) -> None:
        """Ask anew the next time: something was done."""
        self._status = (0.0, self._status[1])
        self._pending = (0.0, self._pending[1])


def _pending_in(told: Any) -> Pending:
    if not isinstance(told, Mapping):
        return Pending()
    return Pending(
        tuple(told.get("changes") or ()),
        tuple(told.get("problems") or ()),
        tuple(told.get("consequences") or ()),
        told.get("load_seconds"),
        told.get("digest") or "",
    )
