"""Stop strings in a streamed text: found across pieces, never shown, not even their beginning."""

from __future__ import annotations

from collections.abc import Sequence


class StopMatcher:
    """Lets text through up to the stop string that is complete first.

    What could be the beginning of a stop string is held back until the next piece decides. How the text
    is cut into pieces makes no difference.

    Args:
        stops: The stop strings; none is empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(dict.fromkeys(stops))
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Take the next piece and return what may be shown now; afterwards ``stopped`` tells the end."""
        if not text or self.stopped:
            return ""
        text = self._held + text
        self._held = ""
        hits = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if hits:
            self.stopped = True
            return text[: min(hits)[1]]
        keep = self._beginning(text)
        if not keep:
            return text
        self._held = text[-keep:]
        return text[:-keep]

    def flush(self) -> str:
        """Return what was held back; for an answer that ends without a stop string."""
        held, self._held = self._held, ""
        return held

    def _beginning(self, text: str) -> int:
        """Return how many last characters could begin a stop string."""
        longest = 0
        for stop in self._stops:
            # Only a shorter tail than the stop string can be its beginning: it is not in the text.
            for size in range(min(len(stop) - 1, len(text)), longest, -1):
                if stop.startswith(text[-size:]):
                    longest = size
                    break
        return longest
