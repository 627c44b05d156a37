"""An answer in one piece: OpenAI's chat completion object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from hoonify_router.answer import Answer
from hoonify_router.chunks import usage_object

_encode = msgspec.json.Encoder().encode


class _Choice:
    """What one of the answers has said so far."""

    __slots__ = ("fields", "finish_reason", "logprobs", "reasoning", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.reasoning: list[str] = []
        self.fields: dict[str, Any] = {}
        self.logprobs: Any = None
        self.finish_reason = ""

    def as_object(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self.texts) if self.texts or not self.fields else None,
            "refusal": None,
        }
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        message.update(self.fields)
        return {
            "index": index,
            "message": message,
            "logprobs": self.logprobs,
            "finish_reason": self.finish_reason,
        }


class Completion(Answer):
    """Collects an answer until it is complete.

    Args:
        completion_id: The answer's id.
        created: Unix time of the answer.
        model: Catalog ID that the client asked for.
        choices: How many answers the client asked for.
        on_end: Called once, when the answer has ended.
    """

    __slots__ = ("_choices", "_created", "_id", "_model")

    def __init__(
        self,
        completion_id: str,
        created: int,
        model: str,
        choices: int,
        on_end: Callable[[], object],
    ) -> None:
        super().__init__(choices, on_end)
        self._id = completion_id
        self._created = created
        self._model = model
        self._choices = [_Choice() for _ in range(choices)]

    def text(self, text: str, index: int = 0) -> None:
        """Keep a piece of the answer."""
        if self._may_speak(index):
            self._mark_first()
            self._choices[index].texts.append(text)

    def reasoning(self, text: str, index: int = 0) -> None:
        """Keep a piece of what the model thinks."""
        if self._may_speak(index):
            self._mark_first()
            self._choices[index].reasoning.append(text)

    def parts(self, fields: Mapping[str, Any], index: int = 0, logprobs: Any = None) -> None:
        """Keep other parts of the message; they come whole, not in deltas."""
        if self._may_speak(index):
            self._mark_first()
            choice = self._choices[index]
            choice.fields.update(fields)
            if logprobs is not None:
                choice.logprobs = logprobs

    def body(self) -> bytes:
        """Return the completion as JSON, once it has ended without an error."""
        told: dict[str, Any] = {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._model,
            "choices": [choice.as_object(index) for index, choice in enumerate(self._choices)],
        }
        if self.usage is not None:
            told["usage"] = usage_object(self.usage)
        return _encode(told)

    def _finished(self, reason: str, index: int) -> None:
        self._choices[index].finish_reason = reason
