"""Writes the parts of the documentation that the code knows best: ``make docs``, or ``python -m docs.generate``.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; everything around it is written by
hand. A test fails when a part is not what this would write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from docs.generate.commands import command_sections
from docs.generate.configuration import (
    balancer_table,
    configuration_tables,
    options_table,
    settings_table,
)
from docs.generate.conformance import check_tables, report_table
from docs.generate.examples import example
from docs.generate.failures import errors_table, own_errors
from docs.generate.hooks import hook_index, hook_names, hook_page
from docs.generate.parameters import message_table, object_table, parameter_table
from docs.generate.refusals import refusal_table

__all__ = ["DOCS", "hook_names", "main", "own_errors", "refreshed"]

DOCS = Path(__file__).resolve().parents[1]
PART = re.compile(r"(<!-- generated: (?P<name>[^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def refreshed(text: str) -> str:
    """Return a page with every generated part as it should be now."""
    return PART.sub(lambda found: f"{found[1]}\n{_part(found['name'])}\n\n{found[3]}", text)


def _part(name: str) -> str:
    what, _, which = name.partition(" ")
    writers: Mapping[str, Callable[[], str]] = {
        "errors": errors_table,
        "hook-index": hook_index,
        "hook": lambda: hook_page(which),
        "configuration": configuration_tables,
        "commands": command_sections,
        "checks": check_tables,
        "reports": report_table,
        "options": lambda: options_table(which),
        "settings": lambda: settings_table(which),
        "balancer": lambda: balancer_table(which),
        "parameters": lambda: parameter_table(which),
        "objects": lambda: object_table(which),
        "messages": message_table,
        "refusals": lambda: refusal_table(which),
        "example": lambda: example(which),
    }
    return writers[what]()


def main() -> None:
    """Rewrite every page whose generated parts are not current."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text()
        if (new := refreshed(text)) != text:
            page.write_text(new)
            print(f"wrote {page.relative_to(DOCS.parent)}")
