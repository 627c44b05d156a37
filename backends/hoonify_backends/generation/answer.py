"""One answer as it grows: tokens in, events that may go out, and when and why it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hoonify_backends.generation.detokenizer import TokenDecoder
from hoonify_backends.generation.logprobs import Ledger, Score
from hoonify_backends.generation.stops import StopMatcher
from hoonify_router.types import Event, Finish, FinishReason, Text, TokenLogprob

if TYPE_CHECKING:
    from hoonify_backends.generation.structure import Output


class Answer:
    """One answer.

    Args:
        decoder: Turns its tokens into text.
        limit: Tokens it may have at most.
        eos: Tokens that end it; they are neither shown nor counted.
        stops: Strings that end it; they are not shown.
        index: Which of the request's answers it is.
        opening: Text that stands before what the tokens say.
        output: Tells calls of functions from its text; ``None`` where all of it is text.
        told: Whether its tokens' log probabilities go out with the text.
    """

    __slots__ = (
        "_decoder",
        "_eos",
        "_ledger",
        "_limit",
        "_opening",
        "_output",
        "_plain",
        "_ready",
        "_stops",
        "finish",
        "index",
        "tokens",
    )

    def __init__(
        self,
        decoder: TokenDecoder,
        *,
        limit: int,
        eos: frozenset[int] = frozenset(),
        stops: Sequence[str] = (),
        index: int = 0,
        opening: str = "",
        output: Output | None = None,
        told: bool = False,
    ) -> None:
        self._decoder = decoder
        self._limit = limit
        self._eos = eos
        self._stops = StopMatcher(stops) if stops else None
        self._opening = opening
        self._output = output
        self._ledger = Ledger() if told else None
        self._ready: list[TokenLogprob] = []
        self._plain = not (opening or output or told)
        self.index = index
        self.tokens = 0
        self.finish: FinishReason | None = None

    @property
    def room(self) -> int:
        """Return how many more tokens it may have."""
        return self._limit - self.tokens

    @property
    def endless(self) -> bool:
        """Whether no token ends it, but its limit alone."""
        return not self._eos

    def push(
        self, token: int, score: Score | None = None, *, complete: bool = False
    ) -> list[Event]:
        """Take the next token and return what may go out; ``finish`` is set when it was the last.

        Args:
            token: The token.
            score: How probable it was, where that is told.
            complete: Nothing may follow it, because the answer has the form that was asked for.
        """
        if token in self._eos:
            return self._end("", "stop")
        self.tokens += 1
        text = self._decoder.push(token)
        if score is not None and self._ledger is not None:
            self._note(token, score, text)
        stops = self._stops
        if stops is not None:
            text = stops.push(text)
            if stops.stopped:
                return self._end(text, "stop", cut=True)
        if complete:
            return self._end(text, "stop")
        if self.tokens >= self._limit:
            return self._end(text, "length")
        if self._plain:
            return [Text(text, self.index)] if text else []
        return self._events(text)

    def skip(self) -> list[Event]:
        """End an answer that may have no tokens."""
        return self._end("", "length")

    def _note(self, token: int, score: Score, text: str) -> None:
        assert self._ledger is not None
        spell = self._decoder.spell
        top = [(spell(one), logprob) for one, logprob in score.top]
        self._ledger.note(TokenLogprob(self._decoder.share(token, text), score.logprob, top), text)

    def _end(self, text: str, reason: FinishReason, *, cut: bool = False) -> list[Event]:
        if self._stops is not None and not cut:
            text += self._stops.flush()
        if self._plain:
            self.finish = reason
            end = Finish(reason, self.index)
            return [Text(text, self.index), end] if text else [end]
        events = self._events(text, last=reason, cut=cut)
        assert self.finish is not None
        events.append(Finish(self.finish, self.index))
        return events

    def _events(
        self, text: str, last: FinishReason | None = None, *, cut: bool = False
    ) -> list[Event]:
        """Return the events for a text, with whatever else was asked for."""
        output, index = self._output, self.index
        pieces = [] if not text else [text] if output is None else output.push(text)
        if last is not None:
            if output is not None:
                rest, last = output.finish(last, cut=cut)
                pieces = [*pieces, *rest]
            self.finish = last
        events: list[Event] = []
        if self._opening:
            events.append(Text(self._opening, index))
            self._opening = ""
        said: Text | None = None
        for piece in pieces:
            if not isinstance(piece, str):
                piece.index = index
                events.append(piece)
            elif piece:
                events.append(Text(piece, index))
                said = said or events[-1]  # type: ignore[assignment]
        if self._ledger is not None:
            self._ready += self._ledger.show(len(text))
            if last is not None:
                self._ready += self._ledger.close(cut=cut)
            if self._ready and (events or last is not None):
                if said is None:
                    said = Text("", index)
                    events.insert(0, said)
                said.logprobs, self._ready = self._ready, []
        return events
