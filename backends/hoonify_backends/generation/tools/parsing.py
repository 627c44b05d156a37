"""What all parsers of calls share: text that comes in pieces, and what of it is certain."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Generator

from hoonify_router.types import ToolCall

Piece = str | ToolCall
Steps = Generator[None, None, bool]
"""A part of a parser: it yields where it needs more text, and returns whether it found what it looked for."""

_BLANK = " \t\n\r"


class Incomplete(Exception):
    """The answer ended in the middle of something."""


class CallParser(ABC):
    """Tells calls from text, however the text is cut into pieces.

    A subclass writes its format down as one generator, ``_parse``, that reads on and yields whenever it needs
    more. Text between calls goes out as soon as it cannot be the beginning of one; blanks between the
    beginning, the calls and the end are layout and are shown only where text follows. What began like a
    call and is none is given back as text.

    Args:
        offered: Names of the functions that may be called; nothing else is a call.
        forced: Whether the whole answer is certain to be calls.
    """

    def __init__(self, offered: Collection[str], *, forced: bool = False) -> None:
        self.calls = 0
        self._offered = frozenset(offered)
        self._longest = max(map(len, self._offered), default=0)
        self._forced = forced
        self._argued: list[str] = []  # of the call that was begun last
        self._out: list[Piece] = []
        self._text = ""
        self._at = 0  # of the text, how much has been read
        self._mark: int | None = None  # where to go back to, should this not be a call
        self._ended = False
        self._blanks: str | None = ""  # layout so far; None while text runs
        self._steps = self._parse()
        self._done = False
        self._advance()

    @property
    def in_call(self) -> bool:
        """Whether the call that was begun last lacks the end of its arguments."""
        try:
            json.loads("".join(self._argued))
        except (ValueError, RecursionError):
            return self.calls > 0
        return False

    def push(self, text: str) -> list[Piece]:
        """Take the next text and return what is certain now."""
        if self._done:  # nothing can be a call any more
            self._say(text)
            return self._taken()
        keep = self._at if self._mark is None else self._mark
        self._text = self._text[keep:] + text
        self._at -= keep
        if self._mark is not None:
            self._mark = 0
        return self._advance()

    def finish(self) -> list[Piece]:
        """Return what was held back; nothing more comes."""
        self._ended = True
        pieces = self._advance()
        if self._blanks and not self.calls:
            pieces.append(self._blanks)
        self._blanks = None
        if self._forced:  # what was cut off within a call is no text
            return [piece for piece in pieces if not isinstance(piece, str)]
        return pieces

    @abstractmethod
    def _parse(self) -> Steps:
        """Read the whole answer; what is left when it returns is text."""

    def _advance(self) -> list[Piece]:
        try:
            while not self._done:
                next(self._steps)
                if not self._ended:
                    break
        except StopIteration:
            self._done = True
            if rest := self._text[self._at :]:
                self._say(rest)
            self._text, self._at = "", 0
        return self._taken()

    def _taken(self) -> list[Piece]:
        pieces, self._out = self._out, []
        return pieces

    # What subclasses read with.

    def _say(self, text: str) -> None:
        """Give out text that is no call."""
        if self._blanks is not None:
            text = self._blanks + text
            if not text.strip(_BLANK):
                self._blanks = text
                return
            self._blanks = None
        if text:
            self._out.append(text)

    def _begin(self, name: str) -> None:
        """Give out the beginning of a call: from here on it is one."""
        self._out.append(ToolCall(self.calls, name))
        self._argued.clear()
        self.calls += 1
        self._blanks = ""
        self._mark = None

    def _argue(self, text: str) -> None:
        """Give out a piece of the arguments of the call that was begun last."""
        if text:
            self._out.append(ToolCall(self.calls - 1, "", text))
            self._argued.append(text)

    def _peek(self) -> Generator[None, None, str]:
        """Return the next character without reading it.

        Raises:
            Incomplete: There is none.
        """
        while self._at >= len(self._text):
            if self._ended:
                raise Incomplete
            yield
        return self._text[self._at]

    def _skip_blanks(self) -> Generator[None, None, str]:
        """Read blanks and return the character behind them, which is not read.

        Raises:
            Incomplete: There is none.
        """
        while (character := (yield from self._peek())) in _BLANK:
            self._at += 1
        return character

    def _take(self, text: str) -> Steps:
        """Read exactly this text, or as much of it as is there."""
        for expected in text:
            if (yield from self._peek()) != expected:
                return False
            self._at += 1
        return True

    def _find(self, marker: str) -> Steps:
        """Give out text up to a marker and read the marker; ``_mark`` stands before it then."""
        while True:
            place = self._text.find(marker, self._at)
            if place >= 0:
                self._say(self._text[self._at : place])
                self._mark = place
                self._at = place + len(marker)
                return True
            keep = 0 if self._ended else _beginning(self._text, marker, self._at)
            self._say(self._text[self._at : len(self._text) - keep])
            self._at = len(self._text) - keep
            if self._ended:
                return False
            yield

    def _give_back(self, length: int = 0) -> None:
        """Go back to the mark: the first characters there are text, what follows is read again."""
        if self._mark is not None:
            start = self._mark
            self._mark = None
            self._say(self._text[start : start + length])
            self._at = start + length


def _beginning(text: str, marker: str, start: int) -> int:
    """Return how many last characters could begin a marker."""
    place = text.find(marker[0], max(start, len(text) - len(marker) + 1))
    while place >= 0 and not marker.startswith(text[place:]):
        place = text.find(marker[0], place + 1)
    return len(text) - place if place >= 0 else 0
