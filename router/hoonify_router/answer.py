"""What adapters pour an engine's answer into, whatever form the client wants it in."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hoonify_router.errors import Cancelled, EngineDead, RouterError
from hoonify_router.types import TokenLogprob, ToolCall, Usage

FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
_UNFINISHED = "The model's engine ended before the answer was complete."
_BROKEN = "The model's engine sent an answer that makes no sense."


class Answer(ABC):
    """The truth about one answer: who may still speak, what finished, how it ended.

    An adapter calls ``text``, ``reasoning``, ``parts``, ``finish`` and ``count`` as things happen, then
    ``complete`` or ``fail``, once. Whatever comes after the end is ignored, and whatever contradicts
    what was said before (a text after the finish, a second finish, an unknown index) ends the answer with
    an error: no adapter can make a clean end out of a broken one.

    Args:
        choices: How many answers the client asked for (``n``).
        on_end: Called once, when the answer has ended in either way or the client has left.

    Attributes:
        error: Why it failed; ``None`` after a clean end.
        usage: Tokens as the engine counted them, if it told.
        finish_reason: Of the choice that finished last.
        first_at: ``time.perf_counter()`` at the first real event.
        ended: Whether nothing more is taken.
        heard: Whether anything was said since the last look; the clocks of ``patience`` need it.
    """

    __slots__ = (
        "_on_end",
        "_open",
        "choices",
        "ended",
        "error",
        "finish_reason",
        "first_at",
        "heard",
        "usage",
    )

    def __init__(self, choices: int, on_end: Callable[[], object]) -> None:
        self.choices = choices
        self.ended = False
        self.error: RouterError | None = None
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.first_at: float | None = None
        self.heard = False
        self._on_end = on_end
        self._open = (1 << choices) - 1  # one bit per choice that has not finished

    # ------------------------------------------------------------ what adapters call

    @abstractmethod
    def text(
        self, text: str, index: int = 0, logprobs: Sequence[TokenLogprob] | None = None
    ) -> None:
        """Take a piece of the answer, and how probable its tokens were."""

    @abstractmethod
    def reasoning(self, text: str, index: int = 0) -> None:
        """Take a piece of what the model thinks before it answers."""

    @abstractmethod
    def parts(self, fields: Mapping[str, Any], index: int = 0, logprobs: Any = None) -> None:
        """Take other parts of a message, such as ``tool_calls``, as OpenAI's delta has them."""

    def tool_call(self, call: ToolCall) -> None:
        """Take a piece of a call of a function."""
        self.fail(EngineDead(_BROKEN))

    def embedding(self, vector: bytes, index: int = 0) -> None:
        """Take the whole vector of one input, little-endian float32."""
        self.fail(EngineDead(_BROKEN))

    def finish(self, reason: str, index: int = 0) -> None:
        """Hear that the answer with this index is complete."""
        if not self._may_speak(index):
            return
        if reason not in FINISH_REASONS:
            self.fail(EngineDead(_BROKEN))
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
            self.fail(EngineDead(_UNFINISHED, retry_after=1))
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

    @abstractmethod
    def _finished(self, reason: str, index: int) -> None:
        """Note a legal finish."""

    def _may_speak(self, index: int) -> bool:
        """Tell whether the choice may say something; if it may not, the answer has failed."""
        if self.ended:
            return False
        if index < 0 or not self._open >> index & 1:
            self.fail(EngineDead(_BROKEN))
            return False
        self.heard = True
        return True

    def _mark_first(self) -> None:
        if self.first_at is None:
            self.first_at = time.perf_counter()
