"""A server home's stream of events, passed on with the least work that the truth allows.

In the chunks of one stream only the text differs. What stands before and after it is learnt from a chunk
that was decoded; from then on a chunk with the same beginning and the same end has only its text taken
out and goes on between our own beginning and end (see ``_Mould``). That is proof enough: the same keys at
the same places, one choice, no finish, no error, no usage, a text without escapes. Every other event is
decoded and told to the answer, which checks it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from hoonify_router.adapters.refusals import stream_refusal
from hoonify_router.adapters.usage import ServerUsage
from hoonify_router.answer import FINISH_REASONS, Answer
from hoonify_router.errors import EngineDead
from hoonify_router.stream import ChatStream

MAX_EVENT_BYTES = 16 * 1024 * 1024

_SCALAR = rb'"[a-z_]+": ?(?:"[^"\\]*"|-?[0-9]+|null|true|false)'
_NULL = rb'"[a-z_]+": ?null'
_BEFORE = re.compile(
    rb"data: \{(?:" + _SCALAR + rb', ?)*"choices": ?\[\{"index": ?0, ?"delta": ?\{'
    rb"(?:(?:" + _NULL + rb'|"role": ?"assistant"|"content": ?""), ?)*'
    rb'"(content|reasoning_content|reasoning)": ?"'
)
_AFTER = re.compile(
    rb'"(?:, ?' + _NULL + rb")*\}(?:, ?" + _NULL + rb")*\}\](?:, ?" + _SCALAR + rb")*\}"
)
_UNFINISHED = re.compile(rb'"finish_reason": ?null')
_NOT_PLAIN = re.compile(rb'["\\\\\x00-\x1f]')
_MOULDS = 6  # how often a stream may teach us; most need two
_BROKEN = "The model's engine sent an answer that makes no sense."
_GIVEN_UP = frozenset({"abort", "cancelled", "error", "insufficient_system_resource"})
_LENGTHS = frozenset({"length", "max_tokens", "model_length"})


class _Delta(Struct):
    """What OpenAI's schema knows of a delta, and the two names that thoughts have."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None

    @property
    def parts(self) -> dict[str, Any]:
        """Return everything that is there beside the texts."""
        names = ("refusal", "tool_calls", "function_call", "audio")
        return {name: value for name in names if (value := getattr(self, name))}


class _Choice(Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: ServerUsage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


class _Mould:
    """Beginning and end that the chunks of one stream have in common.

    Args:
        before: Everything up to the text's opening quote, the quote included.
        after: Everything from its closing quote on.
        thinks: Whether the text is a thought.
    """

    __slots__ = ("_after", "_before", "_frame", "thinks")

    def __init__(self, before: bytes, after: bytes, thinks: bool) -> None:
        self._before = before
        self._after = after
        self._frame = len(before) + len(after)
        self.thinks = thinks

    def text_of(self, event: bytes) -> bytes | None:
        """Return the text in ``event``, as JSON has it, or ``None`` if the event must be decoded."""
        if not (event.startswith(self._before) and event.endswith(self._after)):
            return None
        text = event[len(self._before) : -len(self._after)]
        if len(event) < self._frame or _NOT_PLAIN.search(text) is not None:
            return None
        return text if text.isascii() or _is_utf8(text) else None


def learn(event: bytes) -> _Mould | None:
    """Return the mould of a chunk with a text, if it is one whose every part is understood."""
    before = _BEFORE.match(event)
    if before is None or not all(name in before[0] for name in (b'"id":', b'"model":')):
        return None
    end = event.find(b'"', before.end())
    after = event[end:]
    if (
        event[end - 1 : end] == b"\\" or _AFTER.fullmatch(after) is None
    ):  # a quote of the text's own
        return None
    if _UNFINISHED.search(after) is None or b'"error"' in after or b'"error"' in before[0]:
        return None
    return _Mould(before[0], after, thinks=before[1] != b"content")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def tell_finish(told: str, answer: Answer, index: int) -> None:
    """Tell how a choice ended, in OpenAI's words; one that was given up has not finished."""
    if told in _GIVEN_UP:
        answer.fail(EngineDead("The model's engine gave the request up.", retry_after=1))
    elif told in _LENGTHS:
        answer.finish("length", index)
    else:
        answer.finish(told if told in FINISH_REASONS else "stop", index)


class EventReader:
    """Cuts a stream into events and pours them into an answer.

    Args:
        answer: Where they go.
    """

    __slots__ = ("_answer", "_mould", "_rest", "_to_learn")

    def __init__(self, answer: ChatStream) -> None:
        self._answer = answer
        self._mould: _Mould | None = None
        self._to_learn = _MOULDS if answer.choices == 1 else 0
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take received bytes; they may be cut anywhere."""
        if self._answer.ended:
            return
        if b"\r" in data or self._rest.endswith(b"\r"):
            data = self._with_plain_lines(data)
        if self._rest:
            data = self._rest + data
        *events, self._rest = data.split(b"\n\n")
        texts: list[bytes] = []
        mould = self._mould
        for event in events:
            text = mould.text_of(event) if mould is not None else None
            if text is not None:
                if text:
                    texts.append(text)
                continue
            self._pass(texts)
            self._read(event)
            mould = self._mould
        self._pass(texts)
        if len(self._rest) > MAX_EVENT_BYTES:
            self._answer.fail(EngineDead(_BROKEN))
            self._rest = b""

    def _pass(self, texts: list[bytes]) -> None:
        if texts and self._mould is not None:
            self._answer.escaped(texts, self._mould.thinks)
            texts.clear()

    def close(self) -> None:
        """The body is complete: what is left is an event without its empty line."""
        rest, self._rest = self._rest.strip(b"\r\n"), b""
        if rest and not self._answer.ended:
            self._read(rest)

    def _with_plain_lines(self, data: bytes) -> bytes:
        """Return ``data`` with LF ends only; JSON itself never holds a bare CR."""
        if self._rest.endswith(b"\r"):
            self._rest = self._rest[:-1]
            data = b"\r" + data
        held = b""
        if data.endswith(b"\r"):  # its LF may be on the way
            data, held = data[:-1], b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held

    def _read(self, event: bytes) -> None:
        if event.startswith(b"data: ") and b"\n" not in event:
            data = event[6:]
        else:
            lines = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
            data = b"\n".join([line.removeprefix(b" ") for line in lines])
        if not data:  # a comment, or the like
            return
        if data == b"[DONE]":
            self._answer.complete()
            return
        try:
            chunk = _decode(data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            self._answer.fail(EngineDead(_BROKEN))
            return
        if chunk.error is not None:
            self._answer.fail(stream_refusal(chunk.error))
            return
        worth_it = self._to_learn > 0 and self._answer.begun  # a first chunk is not like the others
        for choice in chunk.choices or ():
            self._tell(choice)
            worth_it = worth_it and not choice.finish_reason
        if chunk.usage is not None:
            self._answer.count(chunk.usage.as_usage())
        if worth_it and chunk.choices:
            self._to_learn -= 1
            self._mould = learn(event) or self._mould

    def _tell(self, choice: _Choice) -> None:
        answer, index, delta = self._answer, choice.index, choice.delta
        if delta is not None:
            if thought := delta.reasoning_content or delta.reasoning:
                answer.reasoning(thought, index)
            parts = delta.parts
            if choice.logprobs is not None and delta.content:
                answer.parts({**parts, "content": delta.content}, index, choice.logprobs)
            else:
                if delta.content:
                    answer.text(delta.content, index)
                if parts:
                    answer.parts(parts, index)
        if choice.finish_reason:
            tell_finish(choice.finish_reason, answer, index)
