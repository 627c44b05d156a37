"""Say where and why a text is no YAML, with advice where the mistake is a common one."""

from __future__ import annotations

from typing import Any

import yaml


def explained(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return ``line:column: what is wrong`` for what the parser complains of."""
    mark: Any = error.problem_mark or error.context_mark
    began: Any = error.context_mark
    if mark is None:
        return f"1:1: not valid YAML: {error.problem}"
    if began and "quoted" in (error.context or "") and "end of stream" in (error.problem or ""):
        where = f"{began.line + 1}:{began.column + 1}"
        return f"{where}: not valid YAML: the quote that opens here is never closed"
    what = ", ".join(part for part in (error.context, error.problem) if part)
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    advice = _advice(error, line, mark.column)
    return f"{mark.line + 1}:{mark.column + 1}: not valid YAML: {what}{advice}"


def _advice(error: yaml.MarkedYAMLError, line: str, column: int) -> str:
    """Return what to do about a mistake at a column of a line, if it is one that people make."""
    context, problem, began = error.context or "", error.problem or "", error.context_mark
    here = line[column : column + 1]
    if here == "\t":
        return "; YAML is indented with spaces, not tabs"
    if "${" in line[: column + 2]:
        return "; inside of { } and [ ], put ${NAME} in quotes"
    if "cannot start any token" in problem:
        return "; put the text in quotes"
    if began and "while parsing a flow" in context:
        bracket = "{" if "mapping" in context else "["
        return f"; the {bracket} of line {began.line + 1} is still open"
    if "while parsing a block" in context:
        if line[:column].endswith("'"):
            return "; inside of '...', write '' for a '"
        return "; is this line indented like its neighbours?"
    if "mapping values are not allowed" in problem:
        if ":" in line[:column]:
            return "; put a text that has a colon in it in quotes"
        return (
            "; does the line above have a space after its colon,"
            " and is this line indented like its neighbours?"
        )
    return ""


def forbidden_character(text: str) -> str:
    """Return ``line:column: what is wrong`` for the first character that YAML does not allow."""
    for number, line in enumerate(text.split("\n"), 1):
        for column, character in enumerate(line, 1):
            code = ord(character)
            allowed = character in "\t\r\x85" or 0x20 <= code < 0x7F or code > 0x9F
            if not allowed or character in "\ufffe\uffff":
                return f"{number}:{column}: not valid YAML: control character U+{code:04X}"
    return "1:1: not valid YAML: a control character stands in it"
