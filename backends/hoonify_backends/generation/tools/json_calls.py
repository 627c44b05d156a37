"""Calls that are written as JSON objects with a name and arguments."""

from __future__ import annotations

import json
from collections.abc import Generator

from hoonify_backends.generation.tools.json_scanner import JsonScanner
from hoonify_backends.generation.tools.parsing import CallParser, Incomplete, Steps

_ARGUMENTS = ("arguments", "parameters")
_LONGEST_KEY = 64


class Malformed(Exception):
    """This is not what was looked for."""


class JsonCallParser(CallParser):
    """Reads ``{"name": …, "arguments": {…}}``; the arguments go out as they come."""

    def _call(self, sure: bool) -> Steps:
        """Read one call, if it is one.

        If it is none, the caller gives it back. If its name has gone out already, then it is one, and what
        follows the part that could be read is text.

        Args:
            sure: Whether a name that is offered is enough to be certain, before there are arguments.
        """
        calls = self.calls
        try:
            yield from self._object(sure)
        except (Malformed, Incomplete):
            return self.calls > calls
        return True

    def _object(self, sure: bool) -> Generator[None, None, None]:
        calls, name, argued, held = self.calls, "", False, ""
        yield from self._expect("{")
        while True:
            yield from self._skip_blanks()
            key = yield from self._string(_LONGEST_KEY)
            yield from self._expect(":")
            first = yield from self._skip_blanks()
            if key == "name" and not name:
                name = yield from self._string(self._longest)
                if name not in self._offered:
                    raise Malformed
                if sure or argued:
                    self._begin(name)
                    self._argue(held)
            elif key in _ARGUMENTS and not argued:
                argued = True
                if name and self.calls == calls and first in '{"':
                    self._begin(name)
                held = yield from self._arguments(first, self.calls > calls)
            else:
                yield from self._value(stream=False)
            if (yield from self._skip_blanks()) == "}":
                break
            yield from self._expect(",")
        if not name or (self.calls == calls and not argued):
            raise Malformed
        self._at += 1
        if self.calls == calls:
            self._begin(name)
            self._argue(held)
        if not argued:
            self._argue("{}")

    def _arguments(self, first: str, begun: bool) -> Generator[None, None, str]:
        """Read the arguments: those of a call that has begun go out, others are returned."""
        if first == "{" and begun:
            yield from self._value(stream=True)
            return ""
        try:
            raw = yield from self._value(stream=False)
        except Incomplete as cut:
            if begun:  # what is there is all there will be
                self._argue(_unquoted(str(cut)))
            raise
        held = _unquoted(raw)
        if begun:
            self._argue(held)
            return ""
        return held

    def _expect(self, character: str) -> Generator[None, None, None]:
        if (yield from self._skip_blanks()) != character:
            raise Malformed
        self._at += 1

    def _string(self, longest: int) -> Generator[None, None, str]:
        """Read a short string and return what it says."""
        if (yield from self._peek()) != '"':
            raise Malformed
        self._at += 1
        raw = ""
        while (character := (yield from self._peek())) != '"':
            self._at += 1
            raw += character
            if character == "\\":
                raw += yield from self._peek()
                self._at += 1
            if len(raw) > 6 * longest:  # a character may be written as \uXXXX
                raise Malformed
        self._at += 1
        try:
            return str(json.loads(f'"{raw}"'))
        except ValueError:
            raise Malformed from None

    def _value(self, *, stream: bool) -> Generator[None, None, str]:
        """Read any JSON value: it goes out as it comes, or is returned.

        Raises:
            Malformed: There is none.
            Incomplete: The answer ended within it; the error says what was there.
        """
        scanner = JsonScanner()
        raw = ""
        while True:
            end = scanner.scan(self._text, self._at)
            piece = self._text[self._at : end]
            self._at = end
            if stream:
                self._argue(piece)
            else:
                raw += piece
            if scanner.broken:
                raise Malformed
            if scanner.done:
                return raw
            if self._ended:
                if scanner.complete_at_end:
                    return raw
                raise Incomplete(raw)
            yield


def _unquoted(raw: str) -> str:
    """Return arguments that were written as a string of JSON without its quotes; anything else as it is."""
    if not raw.startswith('"'):
        return "{}" if raw == "null" else raw
    for text in (raw, raw + '"'):  # the second, where it was cut
        try:
            said = str(json.loads(text, strict=False))
        except ValueError:
            continue
        return said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return raw
