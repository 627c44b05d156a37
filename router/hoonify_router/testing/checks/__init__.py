"""The checks, as a table: each has a name, a level, what it needs and what it proves."""

from __future__ import annotations

from hoonify_router.testing.checks import (
    abuse,
    answers,
    choosing,
    forms,
    leaving,
    protocol,
    refusing,
    schema,
)
from hoonify_router.testing.records import Check, checks_in

_MODULES = (schema, protocol, leaving, answers, choosing, forms, refusing, abuse)


def all_checks() -> tuple[Check, ...]:
    """Return every check in the order in which they run: by level, those that end the home's process last."""
    found = [check for module in _MODULES for check in checks_in(module)]
    return tuple(sorted(found, key=lambda check: (check.level, check.ends)))


__all__ = ["all_checks"]
