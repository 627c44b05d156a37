"""The truth of a stream: whatever an engine does, the client reads a legal OpenAI stream to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from hoonify_router.answer import Answer
from hoonify_router.chunks import DONE, Chunks, error_event
from hoonify_router.types import Event, Text, TokenLogprob, ToolCall

_encode = msgspec.json.Encoder().encode


class Outlet(Protocol):
    """Where a stream's bytes go; the first ones carry status and headers before them.

    Attributes:
        takes_all_at_end: Whether events that came together with the end may be written with it, by ``end``.
    """

    takes_all_at_end: bool

    def write(self, data: bytes) -> None:
        """Send whole events."""

    def end(self, data: bytes) -> None:
        """Send the last events and end the answer."""


class EventStream(Answer):
    """An answer as server-sent events, of a chat or of a plain completion: the chunks' maker knows which.

    Nothing is written before the first real event, a text, a call or a finish; then the role comes first,
    for each choice. The last finish is held back until the engine has said that it is done, so that a
    stream which breaks in between ends with an error and not with a clean finish. The end itself, usage
    and ``[DONE]`` included, is written by ``close`` when the request has been settled, the end of one
    that has failed by ``end_with_error``. Events that were collected when a clean end came wait for it.

    Args:
        outlet: Where the bytes go.
        chunks: Makes them.
        choices: How many answers the client asked for.
        on_end: Called once, when the answer has ended.
    """

    __slots__ = ("_chunks", "_corked", "_frame", "_held", "_outlet", "_spoken", "_waiting")

    def __init__(
        self, outlet: Outlet, chunks: Chunks, choices: int, on_end: Callable[[], object]
    ) -> None:
        super().__init__(choices, chunks.finish_reasons, on_end)
        self._outlet = outlet
        self._chunks = chunks
        self._held = b""
        self._spoken = 0  # one bit per choice whose role is told
        self._corked = False
        self._waiting: list[bytes] = []
        self._frame: tuple[bool, bytes, bytes, bytes] | None = None

    @property
    def begun(self) -> bool:
        """Whether the client has read a real event: no other home may answer any more."""
        return self._spoken != 0

    def text(
        self, text: str, index: int = 0, logprobs: Sequence[TokenLogprob] | None = None
    ) -> None:
        """Write a piece of the answer, and how probable its tokens were."""
        if logprobs:
            if self._may_speak(index):
                self._write(self._chunks.weighed(text, index, logprobs), index)
        elif text and self._may_speak(index):
            self._write(self._chunks.text(text, index), index)

    def reasoning(self, text: str, index: int = 0) -> None:
        """Write a piece of what the model thinks."""
        if text and self._may_speak(index):
            self._write_if_any(self._chunks.reasoning(text, index), index)

    def parts(self, fields: Mapping[str, Any], index: int = 0, logprobs: Any = None) -> None:
        """Write other parts of a message."""
        if self._may_speak(index):
            self._write(self._chunks.parts(fields, index, logprobs), index)

    def escaped(self, texts: Sequence[bytes], thinks: bool = False) -> None:
        """Write pieces of the first answer that are escaped for JSON already, without their quotes.

        The adapter vouches that each is the inside of a JSON string. Of a long stream nearly every token comes
        here, so the usual case calls nothing that it need not.
        """
        frame = self._frame
        if frame is None or frame[0] is not thinks:
            before, after = self._chunks.around(thinks)
            self._frame = frame = thinks, before, after + before, after
        data = frame[1] + frame[2].join(texts) + frame[3]
        if self._open & self._spoken & 1 and not (self.ended or self._corked):
            self.heard = True
            self.pieces += len(texts)
            self._outlet.write(data)
        elif self._may_speak(0):
            self.pieces += len(texts) - 1
            self._write(data, 0)

    def texts(self, events: Iterable[Event]) -> bool:
        """Write pieces of the first answer, if the events are nothing else; tell whether they are."""
        texts = []
        for event in events:
            if (
                type(event) is not Text
                or event.index
                or event.logprobs is not None
                or not event.text
            ):
                return False
            texts.append(_encode(event.text)[1:-1])
        self.escaped(texts)
        return True

    def cork(self) -> None:
        """Collect what is said until ``uncork``: one write costs as much as a hundred joined texts."""
        self._corked = True

    def uncork(self) -> None:
        """Write what was collected."""
        self._corked = False
        if not (self.ended and self._outlet.takes_all_at_end):
            self._flush()

    def close(self) -> None:
        """Write the last finish, usage if asked, and ``[DONE]``."""
        usage = b""
        if self.usage is not None and self._chunks.with_usage:
            usage = self._chunks.usage(self.usage)
        self._outlet.end(b"".join([*self._waiting, self._held, usage, DONE]))

    def _end(self) -> None:
        if self.error is not None or not self._outlet.takes_all_at_end:
            self._flush()
        super()._end()

    def _finished(self, reason: str, index: int) -> None:
        data = self._chunks.finish(reason, index)
        if not self._spoken >> index & 1:
            data = self._chunks.role(index) + data
        if self._open:
            self._spoken |= 1 << index
            self._emit(data)
        else:
            self._held = data

    def _called(self, call: ToolCall, called: str) -> None:
        self._write_if_any(self._chunks.call(call, called), call.index, calls=True)

    def _new_call_id(self, call: ToolCall) -> str:
        return self._chunks.call_id(call)

    def _write_if_any(self, data: bytes | None, index: int, calls: bool = False) -> None:
        if data is None:
            self._misfit()
        else:
            self._write(data, index, calls)

    def _write(self, data: bytes, index: int, calls: bool = False) -> None:
        if not self._spoken >> index & 1:
            self._spoken |= 1 << index
            self._mark_first()
            data = self._chunks.role(index, calls) + data
        self._emit(data)

    def _emit(self, data: bytes) -> None:
        if self._corked:
            self._waiting.append(data)
        else:
            self._outlet.write(data)

    def _flush(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._outlet.write(data)


def end_with_error(outlet: Outlet, body: Mapping[str, Any]) -> None:
    """Write the end of a stream that has failed: one event with the error, and nothing that looks clean."""
    outlet.end(error_event(body) + DONE)
