"""What adapters pour an engine's answer into, whatever form the client wants it in."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hoonify_router.errors import BrokenAnswer, Cancelled, RouterError, UnfinishedAnswer
from hoonify_router.types import TokenLogprob, Usage
from hoonify_router.types.events import ToolCall

FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
"""How the answer to a chat may end."""

TEXT_FINISH_REASONS = frozenset({"stop", "length", "content_filter"})
"""How a plain completion may end."""

_UNFINISHED = "The model's engine ended before the answer was complete."
_BROKEN = "The model's engine sent an answer that makes no sense."


class CustomCall(ToolCall):
    """A piece of a call of a tool that takes free text; the text stands in the place of the arguments."""


class Answer(ABC):
    """The truth about one answer: who may still speak, what finished, how it ended.

    An adapter calls ``text``, ``reasoning``, ``tool_call``, ``embedding``, ``parts``, ``finish`` and
    ``count`` as things happen, then ``complete`` or ``fail``, once. Whatever comes after the end is
    ignored, and whatever contradicts what was said before (a text after the finish, a second finish, an
    unknown index, a call without a name), or has no place in this form of answer, ends it with an error:
    no adapter can make a clean end out of a broken one.

    Args:
        choices: How many answers the client asked for (``n``, prompts, inputs).
        finish_reasons: How each of them may end.
        on_end: Called once, when the answer has ended in either way or the client has left.

    Attributes:
        error: Why it failed; ``None`` after a clean end.
        usage: Tokens as the engine counted them, if it told.
        finish_reasons: How a choice may end.
        finish_reason: Of the choice that finished last.
        first_at: ``time.perf_counter()`` at the first real event.
        ended: Whether nothing more is taken.
        heard: Whether anything was said since the last look; the clocks of ``patience`` need it.
        pieces: How many pieces have come; about as many as tokens, if nobody has joined them.
    """

    __slots__ = (
        "_calls",
        "_on_end",
        "_open",
        "choices",
        "ended",
        "error",
        "finish_reason",
        "finish_reasons",
        "first_at",
        "heard",
        "pieces",
        "usage",
    )

    def __init__(
        self, choices: int, finish_reasons: frozenset[str], on_end: Callable[[], object]
    ) -> None:
        self.choices = choices
        self.finish_reasons = finish_reasons
        self.ended = False
        self.error: RouterError | None = None
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.first_at: float | None = None
        self.heard = False
        self.pieces = 0
        self._on_end = on_end
        self._open = (1 << choices) - 1  # one bit per choice that has not finished
        self._calls: dict[int, int] | None = None  # how many functions each choice has called

    # ------------------------------------------------------------ what adapters call

    def text(
        self, text: str, index: int = 0, logprobs: Sequence[TokenLogprob] | None = None
    ) -> None:
        """Take a piece of the answer, and how probable its tokens were."""
        self._misfit()

    def reasoning(self, text: str, index: int = 0) -> None:
        """Take a piece of what the model thinks before it answers."""
        self._misfit()

    def parts(self, fields: Mapping[str, Any], index: int = 0, logprobs: Any = None) -> None:
        """Take other parts of a message as OpenAI's delta has them; ``content`` may be among them.

        The adapter vouches for their shape; ``logprobs`` are those of the content, as JSON has them.
        """
        self._misfit()

    def tool_call(self, call: ToolCall, called: str = "") -> None:
        """Take a piece of a call of a function.

        Args:
            call: The piece; the first one of a call has its name, calls are numbered without gaps.
            called: The engine's own id for the call; without it the call gets one here.
        """
        if not self._may_speak(call.index):
            return
        calls = self._calls
        if calls is None:
            calls = self._calls = {}
        known = calls.get(call.index, 0)
        if (call.number != known) if call.name else not 0 <= call.number < known:
            self._misfit()
        elif call.name:
            calls[call.index] = known + 1
            self._called(call, called or self._new_call_id(call))
        elif call.arguments:
            self._called(call, "")

    def embedding(self, vector: bytes, index: int = 0) -> None:
        """Take the whole vector of one input, little-endian float32."""
        self._misfit()

    def finish(self, reason: str, index: int = 0) -> None:
        """Hear that the answer with this index is complete."""
        if not self._may_speak(index):
            return
        self.pieces -= 1  # it says nothing
        if reason not in self.finish_reasons:
            self._misfit()
            return
        self._open &= ~(1 << index)
        self.finish_reason = reason
        self._mark_first()
        self._finished(reason, index)

    def count(self, usage: Usage) -> None:
        """Hear what the request cost."""
        if not self.ended:
            self.usage = usage

    def complete(self) -> None:
        """Hear that the engine has said everything."""
        if self.ended:
            return
        if self._open:
            self.fail(UnfinishedAnswer(_UNFINISHED, retry_after=1))
            return
        self._end()

    def fail(self, error: RouterError) -> None:
        """Hear that the request has failed."""
        if self.ended:
            return
        self.error = error
        self._end()

    def abandon(self) -> None:
        """Hear that the client has left."""
        self.fail(Cancelled("The client has left."))

    # ------------------------------------------------------------ what its maker calls

    @property
    def begun(self) -> bool:
        """Whether the client has read a real event: no other home may answer any more."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Write the end of an answer that is complete; called when the request is settled."""

    # ------------------------------------------------------------ for the forms of an answer

    def _end(self) -> None:
        self.ended = True
        self._on_end()

    def _finished(self, reason: str, index: int) -> None:
        """Note a legal finish."""
        self._misfit()

    def _called(self, call: ToolCall, called: str) -> None:
        """Note a legal piece of a call; ``called`` is its id with its first piece, else empty."""
        self._misfit()

    def _new_call_id(self, call: ToolCall) -> str:
        """Return an id for a call that the engine gave none."""
        return ""

    def _misfit(self) -> None:
        """End with an error: the engine said what has no place in this form of answer."""
        self.fail(BrokenAnswer(_BROKEN))

    def _may_speak(self, index: int) -> bool:
        """Tell whether the choice may say something; if it may not, the answer has failed."""
        if self.ended:
            return False
        if index < 0 or not self._open >> index & 1:
            self._misfit()
            return False
        self.heard = True
        self.pieces += 1
        return True

    def _mark_first(self) -> None:
        if self.first_at is None:
            self.first_at = time.perf_counter()
