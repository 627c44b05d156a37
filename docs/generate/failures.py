"""The table of errors."""

from __future__ import annotations

import inspect

from hoonify_router import errors
from hoonify_router.routes import failures


def errors_table() -> str:
    """Return a row per error class, in the order of the tree."""
    rows = ["| status | `type` | `code` | class | when |", "|---|---|---|---|---|"]
    for name, kind in own_errors().items():
        when = first_line(kind)
        rows.append(f"| {kind.status} | `{kind.type}` | `{kind.code}` | `{name}` | {when} |")
    return "\n".join(rows)


def own_errors() -> dict[str, type[errors.RouterError]]:
    """Return the router's error classes by name, without those that a plugin or a test has added."""
    kinds = errors.error_kinds().items()  # the door adds a few that only HTTP knows
    own = (errors.__name__, failures.__name__)
    return {name: kind for name, kind in kinds if kind.__module__ in own}


def first_line(thing: object) -> str:
    """Return the first line of a docstring."""
    return inspect.cleandoc(thing.__doc__ or "").partition("\n")[0]
