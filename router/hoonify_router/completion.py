"""An answer in one piece: OpenAI's chat completion object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from hoonify_router.answer import Answer
from hoonify_router.chunks import usage_json
from hoonify_router.types import TokenLogprob

_encode = msgspec.json.Encoder().encode


class Mailbox(Protocol):
    """Where a whole answer goes."""

    def send(self, status: int, body: bytes) -> None:
        """Send status, headers and body."""


class _Choice:
    """What one of the answers has said so far."""

    __slots__ = ("fields", "finish_reason", "logprobs", "reasoning", "text")

    def __init__(self) -> None:
        self.text: str | None = None
        self.reasoning = ""
        self.fields: dict[str, Any] = {}
        self.logprobs: Any = None
        self.finish_reason = ""

    def as_json(self, index: int) -> bytes:
        text = self.text
        if text is None and not self.fields:
            text = ""
        more = b""
        if self.reasoning:
            more = b',"reasoning_content":' + _encode(self.reasoning)
        refusal: Any = None
        for name, value in self.fields.items():
            if name == "refusal":
                refusal = value
            else:
                more += b",%b:%b" % (_encode(name), _encode(value))
        return (
            b'{"index":%d,"message":{"role":"assistant","content":%b,"refusal":%b%b},'
            b'"logprobs":%b,"finish_reason":%b}'
        ) % (
            index,
            _encode(text),
            _encode(refusal),
            more,
            _encode(self.logprobs),
            _encode(self.finish_reason),
        )


class Completion(Answer):
    """Collects an answer until it is complete.

    Args:
        mailbox: Where it goes then.
        identity: The answer's id (ASCII without quotes or backslashes), its Unix time, and the catalog ID
            of the model.
        choices: How many answers the client asked for.
        on_end: Called once, when the answer has ended.
    """

    __slots__ = ("_choices", "_identity", "_mailbox")

    def __init__(
        self,
        mailbox: Mailbox,
        identity: tuple[str, int, str],
        choices: int,
        on_end: Callable[[], object],
    ) -> None:
        super().__init__(choices, on_end)
        self._mailbox = mailbox
        self._identity = identity
        self._choices = [_Choice() for _ in range(choices)]

    def text(
        self, text: str, index: int = 0, logprobs: Sequence[TokenLogprob] | None = None
    ) -> None:
        """Keep a piece of the answer."""
        if self._may_speak(index):
            self._mark_first()
            choice = self._choices[index]
            choice.text = text if choice.text is None else choice.text + text

    def reasoning(self, text: str, index: int = 0) -> None:
        """Keep a piece of what the model thinks."""
        if self._may_speak(index):
            self._mark_first()
            self._choices[index].reasoning += text

    def parts(self, fields: Mapping[str, Any], index: int = 0, logprobs: Any = None) -> None:
        """Keep other parts of the message; they come whole, not in deltas."""
        if self._may_speak(index):
            self._mark_first()
            choice = self._choices[index]
            choice.fields.update(fields)
            if logprobs is not None:
                choice.logprobs = logprobs

    def close(self) -> None:
        """Send the whole answer."""
        self._mailbox.send(200, self.body())

    def body(self) -> bytes:
        """Return the completion as JSON, once it has ended without an error."""
        choices = [choice.as_json(index) for index, choice in enumerate(self._choices)]
        completion_id, created, model = self._identity
        usage = b"" if self.usage is None else b',"usage":' + usage_json(self.usage)
        return (
            b'{"id":"%b","object":"chat.completion","created":%d,"model":%b,"choices":[%b]%b}'
        ) % (
            completion_id.encode("ascii"),
            created,
            _encode(model),
            b",".join(choices),
            usage,
        )

    def _finished(self, reason: str, index: int) -> None:
        self._choices[index].finish_reason = reason
