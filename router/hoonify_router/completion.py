"""An answer in one piece: OpenAI's chat completion object."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from hoonify_router.answer import FINISH_REASONS, Answer
from hoonify_router.chat_chunks import call_object
from hoonify_router.chunks import usage_json
from hoonify_router.identity import call_id
from hoonify_router.logprobs import chat_logprobs
from hoonify_router.types import TokenLogprob, ToolCall

_encode = msgspec.json.Encoder().encode


class Mailbox(Protocol):
    """Where a whole answer goes."""

    def send(self, status: int, body: bytes) -> None:
        """Send status, headers and body."""


class Choice(Protocol):
    """What one of the answers has said so far."""

    finish_reason: str

    def as_json(self, index: int) -> bytes:
        """Return it as OpenAI's choice with this index."""


ChoiceT = TypeVar("ChoiceT", bound=Choice)


class WholeAnswer(Answer, Generic[ChoiceT]):
    """Collects an answer until it is complete.

    Args:
        mailbox: Where it goes then.
        identity: The answer's id (ASCII without quotes or backslashes), its Unix time, and the catalog ID
            of the model.
        choices: How many answers the client asked for.
        on_end: Called once, when the answer has ended.
    """

    __slots__ = ("_choices", "_identity", "_mailbox")

    kind: ClassVar[bytes]
    """What ``object`` says."""

    reasons: ClassVar[frozenset[str]] = FINISH_REASONS

    def __init__(
        self,
        mailbox: Mailbox,
        identity: tuple[str, int, str],
        choices: int,
        on_end: Callable[[], object],
    ) -> None:
        super().__init__(choices, self.reasons, on_end)
        self._mailbox = mailbox
        self._identity = identity
        self._choices = [self._new_choice() for _ in range(choices)]

    def close(self) -> None:
        """Send the whole answer."""
        self._mailbox.send(200, self.body())

    def body(self) -> bytes:
        """Return the answer as JSON, once it has ended without an error."""
        answer_id, created, model = self._identity
        usage = b"" if self.usage is None else b',"usage":' + usage_json(self.usage)
        return b'{"id":"%b","object":"%b","created":%d,"model":%b,"choices":[%b]%b}' % (
            answer_id.encode("ascii"),
            self.kind,
            created,
            _encode(model),
            b",".join([choice.as_json(index) for index, choice in enumerate(self._choices)]),
            usage,
        )

    @abstractmethod
    def _new_choice(self) -> ChoiceT:
        """Return one that has said nothing yet."""

    def _finished(self, reason: str, index: int) -> None:
        self._choices[index].finish_reason = reason


class _Choice:
    """What one of the answers has said so far."""

    __slots__ = ("calls", "fields", "finish_reason", "logprobs", "reasoning", "texts", "tokens")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.reasoning = ""
        self.calls: list[dict[str, Any]] = []
        self.fields: dict[str, Any] = {}
        self.tokens: list[TokenLogprob] | None = None
        self.logprobs: Any = None  # as a server told them
        self.finish_reason = ""

    def as_json(self, index: int) -> bytes:
        said: str | None = "".join(self.texts)
        if not said and (self.calls or self.fields):
            said = None
        more = b""
        if self.reasoning:
            more = b',"reasoning_content":' + _encode(self.reasoning)
        refusal: Any = None
        for name, value in self.fields.items():
            if name == "refusal":
                refusal = value
            else:
                more += b",%b:%b" % (_encode(name), _encode(value))
        if self.calls:
            more += b',"tool_calls":' + _encode(self.calls)
        logprobs = _encode(self.logprobs)
        if self.tokens is not None:
            logprobs = b'{"content":%b,"refusal":null}' % chat_logprobs(self.tokens)
        return (
            b'{"index":%d,"message":{"role":"assistant","content":%b,"refusal":%b%b},'
            b'"logprobs":%b,"finish_reason":%b}'
        ) % (
            index,
            _encode(said),
            _encode(refusal),
            more,
            logprobs,
            _encode(self.finish_reason),
        )


class Completion(WholeAnswer[_Choice]):
    """Collects the answer to a chat; the arguments are those of ``WholeAnswer``."""

    __slots__ = ()

    kind: ClassVar[bytes] = b"chat.completion"

    def _new_choice(self) -> _Choice:
        return _Choice()

    def text(
        self, text: str, index: int = 0, logprobs: Sequence[TokenLogprob] | None = None
    ) -> None:
        """Keep a piece of the answer, and how probable its tokens were."""
        if self._may_speak(index):
            self._mark_first()
            choice = self._choices[index]
            choice.texts.append(text)
            if logprobs is not None:
                if choice.tokens is None:
                    choice.tokens = []
                choice.tokens += logprobs

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
            for name, value in fields.items():
                if name == "content":
                    choice.texts.append(value)
                else:
                    choice.fields[name] = value
            if logprobs is not None:
                choice.logprobs = logprobs

    def _called(self, call: ToolCall, called: str) -> None:
        self._mark_first()
        calls = self._choices[call.index].calls
        piece = call_object(call, called)
        if called:
            calls.append(piece)
            return
        whole = calls[call.number]
        for kind, rest in piece.items():
            for name, text in rest.items():
                whole[kind][name] += text

    def _new_call_id(self, call: ToolCall) -> str:
        return call_id(self._identity[0], call.index, call.number)
