"""The format of Llama 3.2, Llama 4 and others: a Python list of calls with keyword arguments."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Generator
from typing import Any

from hoonify_backends.generation.tools.json_calls import Malformed
from hoonify_backends.generation.tools.parsing import CallParser, Incomplete, Steps

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_LONGEST_KEYWORD = 256
_UNPACKED = "**"


class PythonicParser(CallParser):
    """``[f(a=1), g(b="x")]`` as the whole answer; each argument goes out as JSON once it is complete."""

    def _parse(self) -> Steps:
        self._mark = self._at
        try:
            if (yield from self._skip_blanks()) == "[":
                self._at += 1
                yield from self._calls()
        except (Malformed, Incomplete):
            pass
        self._give_back()
        return True

    def _calls(self) -> Generator[None, None, None]:
        while True:
            name = yield from self._name(self._longest)
            if name not in self._offered or (yield from self._skip_blanks()) != "(":
                raise Malformed
            self._at += 1
            self._begin(name)
            yield from self._arguments()
            self._mark = self._at
            behind = yield from self._skip_blanks()
            if behind not in ",]":
                raise Malformed
            self._at += 1
            if behind == "]":
                self._mark = None
                return

    def _arguments(self) -> Generator[None, None, None]:
        """Read what stands in the brackets of a call; what comes goes out, whatever follows it."""
        before = "{"
        try:
            while (yield from self._skip_blanks()) != ")":
                written = yield from self._argument()
                if written:
                    self._argue(before + written)
                    before = ", "
                if (yield from self._peek()) == ",":
                    self._at += 1
            self._at += 1
        except Malformed:
            self._argue("{}" if before == "{" else "}")
            raise
        self._argue("{}" if before == "{" else "}")

    def _argument(self) -> Generator[None, None, str]:
        """Read one argument and the blanks behind it, and return it as part of a JSON object."""
        self._mark = self._at
        if (yield from self._peek()) == "*":
            if not (yield from self._take(_UNPACKED)):
                raise Malformed
            value = _as_json((yield from self._source()))
            if not value.startswith("{"):
                raise Malformed
            self._mark = None
            return value[1:-1].strip()
        keyword = yield from self._name(_LONGEST_KEYWORD)
        if not keyword or (yield from self._skip_blanks()) != "=":
            raise Malformed
        self._at += 1
        value = _as_json((yield from self._source()))
        self._mark = None
        return f"{_dumped(keyword)}: {value}"

    def _name(self, longest: int) -> Generator[None, None, str]:
        yield from self._skip_blanks()
        name = ""
        while (character := (yield from self._peek())).isalnum() or character in "_-.":
            name += character
            self._at += 1
            if len(name) > longest:
                raise Malformed
        return name

    def _source(self) -> Generator[None, None, str]:
        """Read the source of one value, up to the comma or the bracket behind it."""
        source = ""
        brackets: list[str] = []
        while True:
            character = yield from self._peek()
            if character in "\"'":
                source += yield from self._quoted(character)
                continue
            if not brackets and character in ",)":
                break
            if character in _CLOSING:
                brackets.append(_CLOSING[character])
            elif brackets and character == brackets[-1]:
                brackets.pop()
            elif character in ")]}":
                raise Malformed
            source += character
            self._at += 1
        if not (source := source.strip()):
            raise Malformed
        return source

    def _quoted(self, quote: str) -> Generator[None, None, str]:
        """Read a string with its quotes, one or three at either end."""
        self._at += 1
        source = end = quote
        if (yield from self._peek()) == quote:
            self._at += 1
            if (yield from self._peek()) != quote:
                return quote * 2
            self._at += 1
            source = end = quote * 3
        start = len(source)
        while not (source.endswith(end) and len(source) >= start + len(end)):
            character = yield from self._peek()
            self._at += 1
            source += character
            if character == "\\":
                source += yield from self._peek()
                self._at += 1
                start = len(source)  # what was escaped ends nothing
        return source


def _as_json(source: str) -> str:
    """Return a literal, of Python or of JSON, as JSON; of anything else its source as a string."""
    try:
        with warnings.catch_warnings():  # of escapes that Python does not know
            warnings.simplefilter("ignore")
            value = ast.literal_eval(source)
        return _dumped(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    try:
        json.loads(source, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return _dumped(source)
    return source


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _dumped(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which is no text
        return json.dumps(value, allow_nan=False)
    return text
