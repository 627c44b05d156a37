"""Say where and why a text is no YAML, with advice where the mistake is a common one."""

from __future__ import annotations

from typing import Any

import yaml


def explained(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return ``line:column: what is wrong`` for what the parser complains of."""
    mark: Any = error.problem_mark or error.context_mark
    if mark is None:
        return f"1:1: not valid YAML: {error.problem}"
    what = ", ".join(part for part in (error.context, error.problem) if part)
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if line[mark.column : mark.column + 1] == "\t":
        what += "; YAML is indented with spaces, not tabs"
    elif "${" in line[: mark.column + 2]:
        what += "; inside of { } and [ ], put ${NAME} in quotes"
    return f"{mark.line + 1}:{mark.column + 1}: not valid YAML: {what}"


def forbidden_character(text: str) -> str:
    """Return ``line:column: what is wrong`` for the first character that YAML does not allow."""
    for number, line in enumerate(text.split("\n"), 1):
        for column, character in enumerate(line, 1):
            code = ord(character)
            allowed = character in "\t\r\x85" or 0x20 <= code < 0x7F or code > 0x9F
            if not allowed or character in "\ufffe\uffff":
                return f"{number}:{column}: not valid YAML: control character U+{code:04X}"
    return "1:1: not valid YAML: a control character stands in it"
