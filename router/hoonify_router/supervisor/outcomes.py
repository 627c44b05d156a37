"""What becomes of a reload, as ``status``, log, metric and history tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from hoonify_router.types.status import ReloadSnapshot

Result = Literal["applied", "unchanged", "refused", "failed", "superseded"]
"""``refused``: the file cannot be served; ``failed``: it can, but a new home did not come up."""

RESULTS: tuple[Result, ...] = ("applied", "unchanged", "refused", "failed", "superseded")


class Refusal(Exception):
    """A new configuration cannot take effect.

    Args:
        result: What the reload has come to.
        problems: Why, one line each.
    """

    def __init__(self, result: Result, problems: Sequence[str]) -> None:
        super().__init__(result, problems)
        self.result = result
        self.problems = tuple(problems)


class Trigger(Struct, frozen=True):
    """Who wants a reload, and how they say so.

    Args:
        how: ``file``, ``signal``, ``command``, ``admin``, ``rollback``.
        who: A user's name, a key's id; nothing where nobody knows.
    """

    how: str
    who: str = ""

    def __str__(self) -> str:
        return f"{self.how} ({self.who})" if self.who else self.how


class Outcome(ReloadSnapshot, kw_only=True, frozen=True):
    """How one reload ended."""

    @property
    def headline(self) -> str:
        """Return what it came to."""
        return {
            "applied": f"generation {self.generation} serves",
            "unchanged": f"nothing to change; generation {self.generation} serves",
            "refused": f"refused; generation {self.generation} serves on",
            "failed": f"a new home did not come up; generation {self.generation} serves on",
            "superseded": "a newer edit has taken its place",
        }[self.result]

    @property
    def summary(self) -> str:
        """Return it as one line, with the first change or problem."""
        what = self.headline
        lines = self.problems or self.changes
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        return f"{what}: {lines[0].splitlines()[0]}{more}" if lines else what
