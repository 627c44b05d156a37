"""Whatever an engine says over its socket, and whoever dies or leaves meanwhile, the client reads the truth."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any, get_args

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import event as note
from hypothesis import strategies as st
from tests.router.reading import Kind
from tests.router.truth import Visit, run, turns
from tests.thoroughness import examples

from hoonify_router.adapters.engine import WorkerAdapter
from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.protocol import (
    Cancel,
    Complete,
    Credit,
    Events,
    FrameReader,
    Generate,
    Hello,
    Released,
    encode_frame,
)
from hoonify_router.types import (
    Counted,
    Embedded,
    Event,
    Failure,
    Finish,
    FinishReason,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)

_encoder = msgspec.msgpack.Encoder()


class Socket(asyncio.Transport):
    """The worker's end of the socket: what the gateway sent, and a way to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.connection: Any = None
        self.closing = False
        self.frames: list[Any] = []
        self._reader = FrameReader(
            msgspec.msgpack.Decoder(Hello | Generate | Complete | Cancel | Credit)
        )

    def write(self, data: Any) -> None:
        self.frames += self._reader.feed(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.lose()

    def abort(self) -> None:
        self.lose()

    def lose(self) -> None:
        """Die."""
        if not self.closing:
            self.closing = True
            self.connection.connection_lost(None)

    @property
    def rid(self) -> int | None:
        """Return the number of the request, once it has come."""
        asked = [frame for frame in self.frames if isinstance(frame, Generate | Complete)]
        return asked[0].rid if asked else None

    @property
    def cancelled(self) -> bool:
        return any(isinstance(frame, Cancel) for frame in self.frames)

    async def open(self, path: str, *arguments: Any, **more: Any) -> WorkerConnection:
        """Connect a gateway."""
        connection = self.connection = WorkerConnection()
        connection.connection_made(self)
        self.say(Hello("worker"))
        return connection

    def say(self, frame: msgspec.Struct, cuts: list[int] | None = None) -> None:
        """Send a frame, cut anywhere."""
        data = encode_frame(frame, _encoder)
        places = sorted({0, len(data), *(cut % len(data) for cut in cuts or ())})
        for start, end in itertools.pairwise(places):
            if not self.closing:
                self.connection.data_received(data[start:end])


@dataclass
class Truth:
    """What an engine has really said, by the contract."""

    kind: Kind
    choices: int
    texts: dict[int, str] = field(default_factory=dict)
    thoughts: dict[int, str] = field(default_factory=dict)
    calls: dict[int, list[list[str]]] = field(default_factory=dict)
    finishes: dict[int, str] = field(default_factory=dict)
    broken: bool = False
    over: bool = False

    def hear(self, event: Event) -> None:
        """Take note of an event."""
        if self.broken or self.over:
            return
        if isinstance(event, Counted):
            self.over = True
            self.broken = len(self.finishes) < self.choices
            return
        if isinstance(event, Failure | Embedded):
            self.broken = True
            return
        index = event.index
        if not 0 <= index < self.choices or index in self.finishes:
            self.broken = True
        elif isinstance(event, Text):
            self.texts[index] = self.texts.get(index, "") + event.text
        elif isinstance(event, Finish):
            self.broken = self.kind == "completion" and event.reason == "tool_calls"
            self.finishes[index] = event.reason
        elif self.kind == "completion":
            self.broken = True
        elif isinstance(event, Reasoning):
            self.thoughts[index] = self.thoughts.get(index, "") + event.text
        else:
            self._hear_call(event, self.calls.setdefault(index, []))

    def _hear_call(self, call: ToolCall, calls: list[list[str]]) -> None:
        if call.name and call.number == len(calls):
            calls.append([call.name, call.arguments])
        elif not call.name and 0 <= call.number < len(calls):
            calls[call.number][1] += call.arguments
        else:
            self.broken = True


INDICES = st.sampled_from([0, 0, 0, 0, 1, 1, 2, -1, 3])
SOME_TEXT = st.text(min_size=1, max_size=4)
TOKENS = st.lists(
    st.builds(
        TokenLogprob,
        st.binary(max_size=3),
        st.floats(-9, 0),
        st.lists(st.tuples(st.binary(max_size=2), st.floats(-9, 0)), max_size=2),
    ),
    min_size=1,
    max_size=3,
)
EVENTS = st.one_of(
    st.builds(Text, SOME_TEXT, INDICES),
    st.builds(Text, SOME_TEXT, INDICES),
    st.builds(Text, st.text(max_size=2), INDICES, TOKENS),
    st.builds(Reasoning, SOME_TEXT, INDICES),
    st.builds(ToolCall, st.sampled_from([0, 0, 1, 2, -1]), st.just("f"), st.just("{"), INDICES),
    st.builds(ToolCall, st.sampled_from([0, 0, 1, 2, -1]), st.just(""), st.just("}"), INDICES),
    st.builds(
        Finish,
        st.sampled_from(get_args(FinishReason)),
        INDICES,
    ),
    st.builds(Finish, st.just("stop"), INDICES),
    st.builds(Embedded, st.just(b"\0\0\0\0"), INDICES),
    st.builds(Counted, st.builds(Usage, st.integers(0, 9), st.integers(0, 9))),
    st.sampled_from(
        [
            Failure("EngineDead", "gone", None, 1.0),
            Failure("InvalidRequest", "no", "stop"),
            Failure("Unheard", "of"),
            Failure("Overloaded", "full"),
        ]
    ),
)


@st.composite
def honest(draw: st.DrawFn, kind: Kind, choices: int) -> list[Event]:
    """Return what an engine says that keeps its contract."""
    said: list[Event] = []
    for index in range(choices):
        calls = 0
        for _ in range(draw(st.integers(0, 5))):
            what = draw(st.sampled_from(["text", "weighed", "thought", "call", "more"]))
            text = draw(SOME_TEXT)
            if what == "weighed":
                said.append(Text(text, index, draw(TOKENS)))
            elif what == "thought" and kind == "chat":
                said.append(Reasoning(text, index))
            elif what == "call" and kind == "chat":
                said.append(ToolCall(calls, "f", "{", index))
                calls += 1
            elif what == "more" and calls:
                said.append(ToolCall(draw(st.integers(0, calls - 1)), "", "}", index))
            else:
                said.append(Text(text, index))
        said.append(Finish("tool_calls" if calls else "stop", index))
    return [*said, Counted(Usage(3, 4))]


@st.composite
def plays(draw: st.DrawFn) -> tuple[Any, ...]:
    """Return a request and what happens to it, step by step."""
    kind = draw(st.sampled_from(["chat", "completion"]))
    choices = draw(st.sampled_from([1, 1, 2]))
    is_honest = draw(st.sampled_from([True, True, True, False]))
    said: list[Event] = draw(honest(kind, choices) if is_honest else st.lists(EVENTS, max_size=8))
    if draw(st.sampled_from([False] * 5 + [True])):  # an honest engine that goes astray
        said.insert(draw(st.integers(0, len(said))), draw(EVENTS))
    steps: list[Any] = []
    while said:
        size = draw(st.integers(1, 4))
        batch, said = said[:size], said[size:]
        steps.append(("say", batch, draw(st.lists(st.integers(0, 400), max_size=2))))
        steps.append((draw(st.sampled_from(["turn", "turn", "turn", "lag", "read", "ping"])),))
    trouble = draw(st.sampled_from([None, None, None, None, "lose", "leave", "both"]))
    for one in ("lose", "leave") if trouble == "both" else (trouble,) if trouble else ():
        steps.insert(draw(st.integers(0, len(steps))), (one,))
    return kind, choices, draw(st.booleans()), draw(st.booleans()), steps


def step(visit: Visit, socket: Socket, truth: Truth, what: str, rest: tuple[Any, ...]) -> None:
    """Let one thing happen."""
    if what == "say" and socket.rid is not None:
        batch, cuts = rest
        if not socket.closing:
            for one in batch:
                if not visit.left:
                    truth.hear(one)
            socket.say(Events([(socket.rid, one) for one in batch]), cuts)
    elif what == "lose" and socket.connection is not None:
        truth.broken = truth.broken or not truth.over
        socket.lose()
    elif what == "leave":
        visit.leave()
    elif what == "lag":
        visit.reply.pause()
    elif what == "read":
        visit.reply.resume()
    elif what == "ping":
        visit.ping()


def check(visit: Visit, truth: Truth) -> None:
    """Compare what the client has read with what the engine has said."""
    read = visit.read()
    assert (read.error is not None) == truth.broken
    for told, said in ((read.texts, truth.texts), (read.thoughts, truth.thoughts)):
        for index, text in told.items():
            whole = said.get(index, "")
            assert whole.startswith(text) if truth.broken else whole == text
    for index, calls in read.calls.items():
        for place, (_, name, arguments) in enumerate(calls):
            assert name == truth.calls[index][place][0]
            assert truth.calls[index][place][1].startswith(arguments)
    if not truth.broken:
        assert read.finishes == truth.finishes
        assert {i: [call[1:] for call in calls] for i, calls in read.calls.items() if calls} == {
            i: calls for i, calls in truth.calls.items() if calls
        }
        if visit.with_usage:
            assert read.usage is not None


@given(plays())
@settings(max_examples=examples(250), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_client_reads_the_truth(drawn: tuple[Any, ...]) -> None:
    """A legal stream with exactly one end, clean only after a clean end; and every counter is zero."""
    kind, choices, stream, with_usage, steps = drawn

    async def play() -> None:
        socket = Socket()
        adapter = WorkerAdapter(socket.open)
        visit = Visit(adapter, kind, choices=choices, stream=stream, with_usage=with_usage)
        truth = Truth(kind, choices)
        while socket.rid is None:  # noqa: ASYNC110 - it comes with the next turns of the loop
            await asyncio.sleep(0)
        for what, *rest in steps:
            step(visit, socket, truth, what, tuple(rest))
            if what == "turn":
                await turns()
        if not (truth.over or truth.broken or visit.left):
            truth.broken = True
            socket.lose()  # it says nothing more: sooner or later somebody gives up
        await visit.over()
        await turns()
        note("left" if visit.left else "broken" if truth.broken else "clean")
        if not visit.left:
            check(visit, truth)
        visit.check_that_nothing_is_left()
        connection = socket.connection
        assert connection.pending == 0
        assert not connection._grants
        assert not connection._due
        if socket.cancelled and not socket.closing and socket.rid is not None:
            socket.say(Released(socket.rid))
            assert not connection._releases
        await adapter.close()

    run(play)
