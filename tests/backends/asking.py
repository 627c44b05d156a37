"""Ask an engine and take its events apart."""

from __future__ import annotations

from typing import Any

from hoonify_router.api import Engine
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    Counted,
    Event,
    Finish,
    Message,
    Text,
    TokenLogprob,
)


class Answered:
    """One request's events, taken apart; without a number of it, of its first answer."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.pieces = [event.text for event in events if isinstance(event, Text)]
        ends = {event.index: event.reason for event in events if isinstance(event, Finish)}
        assert sorted(ends) == list(range(len(ends)))
        assert len(ends) == sum(isinstance(event, Finish) for event in events)
        self.finishes = [ends[index] for index in range(len(ends))]
        self.texts = [self._text(index) for index in range(len(ends))]
        self.finish, self.text = self.finishes[0], self.texts[0]
        last = events[-1]
        assert isinstance(last, Counted)
        assert sum(isinstance(event, Counted) for event in events) == 1
        self.usage = last.usage

    def _text(self, index: int) -> str:
        texts = [e for e in self.events if isinstance(e, Text) and e.index == index]
        return "".join(event.text for event in texts)

    def logprobs(self, index: int = 0) -> list[TokenLogprob]:
        """Return what was told of an answer's tokens."""
        texts = [e for e in self.events if isinstance(e, Text) and e.index == index]
        return [one for event in texts for one in event.logprobs or ()]


async def ask(engine: Engine[Any], text: str | list[Message], **wishes: Any) -> Answered:
    """Ask and wait for the whole answer."""
    messages = [Message("user", text)] if isinstance(text, str) else text
    request = ChatRequest("tiny-chat", messages, **wishes)
    return Answered([event async for event in engine.generate(request)])


async def complete(engine: Engine[Any], prompt: Any, **wishes: Any) -> Answered:
    """Let a text go on and wait for the whole of it."""
    request = CompletionRequest("tiny-chat", prompt, **wishes)
    return Answered([event async for event in engine.complete(request)])
