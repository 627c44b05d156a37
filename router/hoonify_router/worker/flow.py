"""Flow control of one request: what fits into the window goes out, the rest waits, joined."""

from __future__ import annotations

import io
from collections import deque

from hoonify_router.protocol import WINDOW
from hoonify_router.types import Event, Finish, Reasoning, Text, TokenLogprob, ToolCall

_PILE_LIMIT = 256 * 1024  # a joined event is no larger than this, or a little more
_FULL = 4 * 1024 * 1024
_LOGPROB = 64  # about what one token and its probability weigh, against one character of text

_Joined = Text | Reasoning | ToolCall


class _Pile:
    """Pieces of one kind and one index, joined while they wait."""

    __slots__ = ("_first", "_joined", "_logprobs", "index", "weight")

    def __init__(self, first: _Joined) -> None:
        self._first = first
        self.index = first.index
        self.weight = 0
        self._joined = io.StringIO()
        self._logprobs: list[TokenLogprob] | None = None
        self.add(first)

    def takes(self, piece: _Joined) -> bool:
        """Tell whether ``piece`` goes on where this pile ends."""
        first = self._first
        if type(piece) is not type(first) or self.weight >= _PILE_LIMIT:
            return False
        if isinstance(piece, ToolCall):
            return piece.number == first.number and not piece.name  # type: ignore[union-attr]
        return True

    def add(self, piece: _Joined) -> int:
        """Take ``piece``; return its weight."""
        weight = 1
        if isinstance(piece, ToolCall):
            text = piece.arguments
        else:
            text = piece.text
            if isinstance(piece, Text) and piece.logprobs is not None:
                if self._logprobs is None:
                    self._logprobs = []
                self._logprobs += piece.logprobs
                weight += sum(_LOGPROB * (1 + len(token.top)) for token in piece.logprobs)
        self._joined.write(text)
        weight += len(text)
        self.weight += weight
        return weight

    def event(self) -> Event:
        first, joined = self._first, self._joined.getvalue()
        if isinstance(first, ToolCall):
            return ToolCall(first.number, first.name, joined, first.index)
        if isinstance(first, Reasoning):
            return Reasoning(joined, first.index)
        return Text(joined, first.index, self._logprobs)


class Outlet:
    """Lets events of one request pass while its client has room for them.

    Out of credit, texts of the same index are joined with their probabilities, and so are the arguments of
    one call of a function: what waits is never more than the answer itself and a few events, however many tokens it
    has. Order within an index stays. Whoever pushes looks at ``full``, and waits when it is.

    Args:
        credit: How many events may be on their way before the client grants more.
        limit: Weight of what waits, about its characters, from which on it is full.
    """

    __slots__ = ("_credit", "_limit", "_open", "_waiting", "_weight")

    def __init__(self, credit: int = WINDOW, limit: int = _FULL) -> None:
        self._credit = credit
        self._limit = limit
        self._weight = 0
        self._waiting: deque[Event | _Pile] = deque()
        self._open: dict[int, _Pile] = {}

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Return whether so much waits that the engine should wait too."""
        return self._weight >= self._limit

    def push(self, event: Event) -> bool:
        """Tell whether ``event`` may go out now; keep it otherwise."""
        if self._credit > 0 and not self._waiting:
            self._credit -= 1
            return True
        if isinstance(event, _Joined):
            pile = self._open.get(event.index)
            if pile is not None and pile.takes(event):
                self._weight += pile.add(event)
                return False
            pile = self._open[event.index] = _Pile(event)
            self._weight += pile.weight
            self._waiting.append(pile)
            return False
        if isinstance(event, Finish):
            self._open.pop(event.index, None)
        self._waiting.append(event)
        return False

    def grant(self, events: int) -> list[Event]:
        """Take ``events`` more of credit, return what may go out now."""
        self._credit += max(events, 0)
        released: list[Event] = []
        while self._waiting and self._credit > 0:
            head = self._waiting.popleft()
            self._credit -= 1
            if isinstance(head, _Pile):
                if self._open.get(head.index) is head:
                    del self._open[head.index]
                self._weight -= head.weight
                released.append(head.event())
            else:
                released.append(head)
        return released
