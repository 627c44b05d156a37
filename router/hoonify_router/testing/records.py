"""What a check is, and how it says that a backend does not keep a promise."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from hoonify_router.types import Task

Run = Callable[[Any], Awaitable[None]]
"""Called with the ``Bench``."""


class Level(enum.IntEnum):
    """How far a check goes."""

    SCHEMA = 0  # what the plugin says of itself; nothing is loaded
    PROTOCOL = 1  # the engine in its worker, spoken to in frames
    SEMANTICS = 2  # OpenAI's API, through a real gateway
    ABUSE = 3  # clients that leave, floods, processes that are killed


class Unmet(Exception):
    """The backend does not keep a promise; the message names the fault."""


class NotApplicable(Exception):
    """There is nothing to check here; the message says why."""


@dataclass(frozen=True)
class Check:
    """One promise of a backend, and how it is put to the test.

    Args:
        name: What an override and the report call it.
        level: How far it goes.
        proves: The promise, one sentence.
        run: Raises ``Unmet`` where the promise is not kept.
        kind: The kind of home that it is for; ``None`` is any.
        task: What the home must be able to do.
        needs: Request fields that the home must honour.
        ends: Whether it ends the home's process: such checks come last within their level.
    """

    name: str
    level: Level
    proves: str
    run: Run
    kind: Literal["worker", "server"] | None = None
    task: Task | None = None
    needs: tuple[str, ...] = ()
    ends: bool = False


def check(
    level: Level,
    *,
    kind: Literal["worker", "server"] | None = None,
    task: Task | None = None,
    needs: tuple[str, ...] = (),
    ends: bool = False,
) -> Callable[[Run], Check]:
    """Make a ``Check`` of a function: its name is the check's, its docstring the promise."""

    def make(run: Run) -> Check:
        proves = " ".join((inspect.getdoc(run) or "").split())
        return Check(run.__name__, level, proves, run, kind, task, needs, ends)

    return make


def checks_in(module: ModuleType) -> tuple[Check, ...]:
    """Return a module's checks in the order of the file."""
    return tuple(value for value in vars(module).values() if isinstance(value, Check))


def require(condition: object, fault: str) -> None:
    """Raise ``Unmet`` with ``fault`` unless ``condition`` holds."""
    if not condition:
        raise Unmet(fault)
