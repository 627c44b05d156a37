"""What an engine's events must be like: their types, their order, and when an answer is complete."""

from __future__ import annotations

import math
import reprlib
from typing import Any, get_args

import msgspec

from hoonify_router.types import (
    Counted,
    Embedded,
    Event,
    Failure,
    Finish,
    InferenceRequest,
    Reasoning,
    Text,
    ToolCall,
)

_EVENT_TYPES = get_args(Event)


class ContractBreach(Exception):
    """The engine yielded what the contract does not allow; a bug of the engine."""


def checked(event: Any) -> Event:
    """Return ``event`` when the client can decode it.

    One event of a wrong type would break the connection, and with it all requests of a gateway.

    Raises:
        ContractBreach: It cannot.
    """
    kind = type(event)
    if (kind is Text and event.logprobs is None) or kind is Reasoning:
        if type(event.text) is str and type(event.index) is int:
            return event  # type: ignore[no-any-return]
    elif kind in _EVENT_TYPES:
        try:
            sound = msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=kind)
        except (TypeError, ValueError, msgspec.MsgspecError):
            pass
        else:
            if _makes_sense(sound):
                return sound  # type: ignore[no-any-return]
    raise ContractBreach(f"the engine yielded {reprlib.repr(event)}")


def _makes_sense(event: Event) -> bool:
    """Tell what types cannot say."""
    if isinstance(event, Text) and event.logprobs:
        return not any(
            math.isnan(logprob)
            for told in event.logprobs
            for logprob in (told.logprob, *(other for _, other in told.top))
        )
    if isinstance(event, Embedded):
        return len(event.vector) > 0 and len(event.vector) % 4 == 0
    return True


class Truth:
    """What the events of one request have said so far, and whether the next one fits.

    A chat or a completion is complete with a ``Finish`` for each of its answers, an embedding with an
    ``Embedded`` for each of its inputs; then come the counts, once.

    Args:
        request: What was asked.
    """

    __slots__ = ("_calls", "_embeds", "_size", "_unfinished", "counted")

    def __init__(self, request: InferenceRequest) -> None:
        self._embeds = request.task == "embedding"
        self._unfinished = request.choices
        self._calls: dict[int, int] = {}
        self._size = 0
        self.counted = False

    def note(self, event: Event) -> None:
        """Take the next event.

        Raises:
            ContractBreach: It contradicts what was said or asked.
        """
        kind = type(event)
        if kind is Counted:
            if self._unfinished > 0:
                missing = "Embedded for each input" if self._embeds else "Finish for each answer"
                raise ContractBreach(f"Counted without a {missing}")
            self.counted = True
        elif kind is not Failure and (kind is Embedded) is not self._embeds:
            raise ContractBreach(f"{kind.__name__} in an answer of another kind")
        elif kind is Finish:
            self._unfinished -= 1
        elif kind is Embedded:
            self._unfinished -= 1
            size = len(event.vector)  # type: ignore[union-attr]
            if size != (self._size or size):
                raise ContractBreach("vectors of different dimensions in one answer")
            self._size = size
        elif kind is ToolCall:
            self._note_call(event)  # type: ignore[arg-type]

    def _note_call(self, call: ToolCall) -> None:
        begun = self._calls.get(call.index, 0)
        if not 0 <= call.number <= begun or bool(call.name) is not (call.number == begun):
            raise ContractBreach(f"calls are numbered from 0 and named once, not {call!r}")
        if call.name:
            self._calls[call.index] = begun + 1
