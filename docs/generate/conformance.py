"""The checks of the conformance kit as tables."""

from __future__ import annotations

from hoonify_router.testing.checks import all_checks
from hoonify_router.testing.records import Check

_LEVELS = (
    "Level 0: what the plugin says of itself",
    "Level 1: the engine in its worker, spoken to in frames",
    "Level 2: OpenAI's API through a real gateway",
    "Level 3: abuse",
)


def check_tables() -> str:
    """Return a table for each level."""
    parts = []
    for level, title in enumerate(_LEVELS):
        rows = [_row(one) for one in all_checks() if one.level == level]
        head = f"### {title}\n\n| check | needs | proves |\n|---|---|---|\n"
        parts.append(head + "\n".join(rows))
    return "\n\n".join(parts)


def _row(one: Check) -> str:
    needs = [one.kind or "", one.task or "", *(f"`{name}`" for name in one.needs)]
    return f"| `{one.name}` | {', '.join(need for need in needs if need)} | {one.proves} |"
