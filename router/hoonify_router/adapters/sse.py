"""A server home's stream of events, passed on with the least work that the truth allows.

Servers send the same beginning in every chunk of a stream: id, time, model, up to the first choice. It
is learnt from a decoded chunk; from then on a chunk that begins so, speaks of one choice, does not finish
it and holds neither an error nor usage is passed on as it is behind our own beginning (a comparison and a
few searches, about a microsecond). Every other event is decoded and told to the answer, which checks it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from hoonify_router.adapters.refusals import stream_refusal
from hoonify_router.adapters.usage import ServerUsage
from hoonify_router.answer import FINISH_REASONS, Answer
from hoonify_router.errors import EngineDead
from hoonify_router.stream import ChatStream

MAX_EVENT_BYTES = 16 * 1024 * 1024

_FINISH = b'"finish_reason":'
_UNFINISHED = b'"finish_reason":null'
_USAGE = b',"usage":'
_NO_USAGE = b',"usage":null'
_ERROR = b'"error":'
_DONE = b"data: [DONE]"
_BEGINNING = re.compile(
    rb'data: \{(?:"[a-z_]+":(?:"[^"\\]*"|[0-9]+|null|true|false),)*"choices":\[\{"index":0,'
)
_NAMES = (b'"id":', b'"created":', b'"model":', b'"object":')
_MEANINGLESS = frozenset({b"null", b'""', b"[]", b"{}"})
_BROKEN = "The model's engine sent an answer that makes no sense."
_GIVEN_UP = frozenset({"abort", "cancelled", "error", "insufficient_system_resource"})
_LENGTHS = frozenset({"length", "max_tokens", "model_length"})


class _Choice(Struct):
    index: int = 0
    delta: dict[str, Raw] | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: ServerUsage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode
_decode_text = msgspec.json.Decoder(str).decode


def _beginning_of(event: bytes) -> bytes:
    """Return what later chunks will begin with too, if all the names are in it that are to be ours."""
    match = _BEGINNING.match(event)
    if match is None or not all(name in match[0] for name in _NAMES):
        return b""
    return match[0]


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

    __slots__ = ("_answer", "_beginning", "_rest")

    def __init__(self, answer: ChatStream) -> None:
        self._answer = answer
        self._beginning = b""
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take received bytes; they may be cut anywhere."""
        if self._answer.ended:
            return
        if b"\r" in data or self._rest.endswith(b"\r"):
            data = self._with_plain_lines(data)
        if self._rest:
            data = self._rest + data
        place, passed = 0, []
        while (end := data.find(b"\n\n", place)) >= 0:
            event = data[place:end]
            place = end + 2
            tail = self._passable(event)
            if tail:
                passed.append(tail)
                continue
            if passed:
                self._answer.passed(passed)
                passed = []
            self._read(event)
        if passed:
            self._answer.passed(passed)
        self._rest = data[place:]
        if len(self._rest) > MAX_EVENT_BYTES:
            self._answer.fail(EngineDead(_BROKEN))
            self._rest = b""

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

    def _passable(self, event: bytes) -> bytes:
        """Return what may be passed on of an event, or nothing if it must be read."""
        beginning = self._beginning
        if not beginning or not event.startswith(beginning):
            return b""
        place = event.find(_FINISH)
        if (
            not event.startswith(_UNFINISHED, place)
            or event.find(_FINISH, place + 1) >= 0
            or event.find(_ERROR) >= 0
            or event.find(b"\n") >= 0
            or not event.endswith(b"}")
        ):
            return b""
        tail = event[len(beginning) :]
        place = tail.rfind(_USAGE)
        if place >= 0:
            if not tail.startswith(_NO_USAGE, place):
                return b""
            if not self._answer.with_usage:
                tail = tail[:place] + tail[place + len(_NO_USAGE) :]
        elif self._answer.with_usage:
            tail = tail[:-1] + b',"usage":null}'
        return tail

    def _read(self, event: bytes) -> None:
        if event == _DONE:
            self._answer.complete()
            return
        data = b"\n".join(
            line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")
        )
        if not data:  # a comment, or the like
            return
        if data == b"[DONE]":
            self._answer.complete()
            return
        try:
            chunk = _decode(data)
            self._tell(chunk)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            self._answer.fail(EngineDead(_BROKEN))
            return
        if not self._beginning and self._answer.choices == 1 and self._answer.begun:
            self._beginning = _beginning_of(event)

    def _tell(self, chunk: _Chunk) -> None:
        answer = self._answer
        if chunk.error is not None:
            answer.fail(stream_refusal(chunk.error))
            return
        for choice in chunk.choices or ():
            self._tell_choice(choice)
        if chunk.usage is not None:
            answer.count(chunk.usage.as_usage())

    def _tell_choice(self, choice: _Choice) -> None:
        answer, index = self._answer, choice.index
        fields = {
            name: value
            for name, value in (choice.delta or {}).items()
            if name != "role" and bytes(value) not in _MEANINGLESS
        }
        logprobs = choice.logprobs
        if set(fields) == {"content"} and logprobs is None:
            answer.text(_decode_text(fields["content"]), index)
        elif fields or logprobs is not None:
            answer.parts(fields, index, logprobs)
        if choice.finish_reason:
            tell_finish(choice.finish_reason, answer, index)
