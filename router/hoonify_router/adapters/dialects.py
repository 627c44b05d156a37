"""What OpenAI-compatible servers say at each endpoint, told to an answer in OpenAI's own words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from hoonify_router.adapters.moulds import Shape
from hoonify_router.adapters.refusals import stream_refusal
from hoonify_router.adapters.usage import ServerUsage
from hoonify_router.answer import Answer
from hoonify_router.errors import EngineDead
from hoonify_router.types import Task

BROKEN = "The model's engine sent an answer that makes no sense."

_GIVEN_UP = frozenset({"abort", "cancelled", "error", "insufficient_system_resource"})
_LENGTHS = frozenset({"length", "max_tokens", "model_length"})
UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


class Said(Struct):
    """What answers and chunks of all endpoints have in common: counts, or a complaint.

    A complaint stands under ``error``, or is the object itself (SGLang: ``{"object": "error", "message":
    ..., "code": 400}``).
    """

    usage: ServerUsage | None = None
    error: Any = None
    object: Any = None
    message: Any = None
    detail: Any = None


class Dialect(ABC):
    """Understands one answer of a server; made anew for each.

    Attributes:
        task: What was asked for.
        shape: How chunks look that need not be decoded.
    """

    __slots__ = ()

    task: ClassVar[Task]
    shape: ClassVar[Shape]

    @abstractmethod
    def tell(self, data: bytes, answer: Answer) -> bool:
        """Tell ``answer`` what a chunk says; return whether others will look like it."""

    @abstractmethod
    def pour(self, body: bytes, answer: Answer) -> None:
        """Tell ``answer`` what an answer in one piece says, to its end."""


def complain(said: Said, data: bytes, task: Task, answer: Answer) -> bool:
    """Fail ``answer`` if the server complains; return whether it does.

    Args:
        said: What was read of ``data``; it has an error, or it lacks what was asked for.
        data: The JSON as it came.
        task: What was asked for.
        answer: Hears of it.
    """
    if said.error is not None:
        answer.fail(stream_refusal(said.error, task))
        return True
    if said.object == "error" or said.message is not None or said.detail is not None:
        answer.fail(stream_refusal(msgspec.json.decode(data), task))
        return True
    return False


def tell_finish(told: str, answer: Answer, index: int) -> None:
    """Tell how a choice ended, in OpenAI's words; one that was given up has not finished."""
    if told in _GIVEN_UP:
        answer.fail(EngineDead("The model's engine gave the request up.", retry_after=1))
    elif told in _LENGTHS:
        answer.finish("length", index)
    else:
        answer.finish(told if told in answer.finish_reasons else "stop", index)
