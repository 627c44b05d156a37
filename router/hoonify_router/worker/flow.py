"""Flow control of one request: what fits into the window goes out, the rest waits, joined."""

from __future__ import annotations

import io
from collections import deque

from hoonify_router.protocol import WINDOW
from hoonify_router.types import Event, Finish, Reasoning, Text


class _Pile:
    """Texts of one kind and one index, joined while they wait."""

    __slots__ = ("_joined", "index", "kind")

    def __init__(self, first: Text | Reasoning) -> None:
        self.kind = type(first)
        self.index = first.index
        self._joined = io.StringIO()
        self._joined.write(first.text)

    def add(self, text: str) -> None:
        self._joined.write(text)

    def event(self) -> Text | Reasoning:
        return self.kind(self._joined.getvalue(), self.index)


class Outlet:
    """Lets events of one request pass while its client has room for them.

    Out of credit, texts of the same index are joined, so that what waits is never more than the text
    of the answer and a few events, however many tokens it has. Order within an index stays.

    Args:
        credit: How many events may be on their way before the client grants more.
    """

    __slots__ = ("_credit", "_open", "_waiting")

    def __init__(self, credit: int = WINDOW) -> None:
        self._credit = credit
        self._waiting: deque[Event | _Pile] = deque()
        self._open: dict[int, _Pile] = {}

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._waiting)

    def push(self, event: Event) -> bool:
        """Tell whether ``event`` may go out now; keep it otherwise."""
        if self._credit > 0 and not self._waiting:
            self._credit -= 1
            return True
        if isinstance(event, Text | Reasoning):
            pile = self._open.get(event.index)
            if pile is not None and pile.kind is type(event):
                pile.add(event.text)
                return False
            pile = self._open[event.index] = _Pile(event)
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
                released.append(head.event())
            else:
                released.append(head)
        return released
