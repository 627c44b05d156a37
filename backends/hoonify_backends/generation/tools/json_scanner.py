"""Where a JSON value ends, in a text that comes in pieces."""

from __future__ import annotations

import re

_PLAIN = re.compile(r'[^"\\]*')
_LAYOUT = re.compile(r'[^"{}\[\]]*')
_WORD = re.compile(r"[^\s,:\"{}\[\]]*")
_CLOSING = {"{": "}", "[": "]"}


class JsonScanner:
    """Follows one JSON value up to its end; it looks at brackets and strings, not at what is between.

    Attributes:
        done: Whether the value is complete.
        broken: Whether it cannot be a value: brackets do not fit.
    """

    def __init__(self) -> None:
        self.done = False
        self.broken = False
        self._open: list[str] = []  # the brackets that are to come
        self._string = False
        self._escaped = False
        self._word = False

    @property
    def complete_at_end(self) -> bool:
        """Whether the value is complete if the text ends here: a number or a word has no end of its own."""
        return self.done or self._word

    def scan(self, text: str, at: int) -> int:
        """Return up to where the value goes in this text, from ``at``; all of it, if it is not done."""
        size = len(text)
        while at < size and not self.done and not self.broken:
            if self._escaped:
                self._escaped = False
                at += 1
            elif self._string:
                at = _PLAIN.match(text, at).end()  # type: ignore[union-attr]
                if at < size:
                    self._escaped = text[at] == "\\"
                    self._string = self._escaped
                    at += 1
                    self.done = not self._string and not self._open
            elif self._word:
                at = _WORD.match(text, at).end()  # type: ignore[union-attr]
                self.done = at < size
            else:
                at = self._structure(text, at)
        return at

    def _structure(self, text: str, at: int) -> int:
        character = text[at]
        if character == '"':
            self._string = True
        elif character in _CLOSING:
            self._open.append(_CLOSING[character])
        elif self._open and character == self._open[-1]:
            self._open.pop()
            self.done = not self._open
        elif character in "}]":
            self.broken = True
            return at
        elif self._open:
            return _LAYOUT.match(text, at).end()  # type: ignore[union-attr]
        else:
            self._word = True
            self.broken = _WORD.match(text, at).end() == at  # type: ignore[union-attr]
            return at
        return at + 1
