"""One answer as it grows: tokens in, text that may be shown out, and when and why it ends."""

from __future__ import annotations

from collections.abc import Sequence

from hoonify_backends.generation.detokenizer import TokenDecoder
from hoonify_backends.generation.stops import StopMatcher
from hoonify_router.types import FinishReason


class Answer:
    """The text of one answer.

    Args:
        decoder: Turns its tokens into text.
        limit: Tokens it may have at most.
        eos: Tokens that end it; they are neither shown nor counted.
        stops: Strings that end it; they are not shown.
    """

    __slots__ = ("_decoder", "_eos", "_limit", "_stops", "finish", "tokens")

    def __init__(
        self,
        decoder: TokenDecoder,
        *,
        limit: int,
        eos: frozenset[int] = frozenset(),
        stops: Sequence[str] = (),
    ) -> None:
        self._decoder = decoder
        self._limit = limit
        self._eos = eos
        self._stops = StopMatcher(stops) if stops else None
        self.tokens = 0
        self.finish: FinishReason | None = None

    def push(self, token: int) -> str:
        """Take the next token and return what may be shown; ``finish`` is set when it was the last."""
        stops = self._stops
        if token in self._eos:
            self.finish = "stop"
            return "" if stops is None else stops.flush()
        self.tokens += 1
        text = self._decoder.push(token)
        if stops is not None:
            text = stops.push(text)
            if stops.stopped:
                self.finish = "stop"
                return text
        if self.tokens >= self._limit:
            self.finish = "length"
            if stops is not None:
                text += stops.flush()
        return text
