"""The checks of the conformance kit as tables."""

from __future__ import annotations

from pathlib import Path

from hoonify_router.testing.checks import all_checks
from hoonify_router.testing.records import Check
from hoonify_router.testing.report import STATUSES, read_report

REPORTS = Path(__file__).resolve().parents[1] / "conformance"

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


def report_table() -> str:
    """Return a row for each report beside the page, and what was waived in it."""
    rows = [
        "| backend | ran on | level | passed | failed | waived | skipped | took | with |",
        "|" + "---|" * 9,
    ]
    notes = []
    for file in sorted(REPORTS.glob("*.json")):
        told = read_report(file.read_bytes())
        counts = " | ".join(str(told.count(status)) for status in STATUSES)
        where = f"{told.device or 'a server'}, {told.system}"
        rows.append(
            f"| `{told.backend}` | {where} | {told.level} | {counts} | {told.seconds:g} s"
            f" | router {told.router}, Python {told.python}, {told.date} |"
        )
        for one in told.results:
            if one.status in ("waived", "failed"):
                notes.append(f"- `{told.backend}`, `{one.name}` {one.status}: {one.told}")
    return "\n".join([*rows, "", *notes]).strip()


def _row(one: Check) -> str:
    needs = [one.kind or "", one.task or "", *(f"`{name}`" for name in one.needs)]
    return f"| `{one.name}` | {', '.join(need for need in needs if need)} | {one.proves} |"
