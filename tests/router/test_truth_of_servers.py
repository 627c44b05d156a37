"""Whatever a server sends, however it is cut, and whoever dies or leaves meanwhile, the client reads the truth."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import event as note
from hypothesis import strategies as st
from tests.router.reading import Kind
from tests.router.truth import Visit, run, turns
from tests.thoroughness import examples

from hoonify_router.adapters import server
from hoonify_router.adapters.server import ServerAdapter
from hoonify_router.adapters.upstream import ConnectionLost

SSE = {b"content-type": b"text/event-stream; charset=utf-8"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
DONE = "[DONE]"


class Exchange:
    """One request at a server, as a pool keeps it."""

    def __init__(self, receiver: Any) -> None:
        self.receiver = receiver
        self.ended = False
        self.paused = False

    def cancel(self) -> None:
        self.ended = True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


class Upstream:
    """Stands for a pool of connections; the test plays the only server."""

    def __init__(self, origin: Any, *_: Any, **__: Any) -> None:
        self.origin = origin
        self.exchange: Exchange | None = None

    def send(self, request: bytes, receiver: Any, *_: Any, **__: Any) -> Exchange:
        assert self.exchange is None
        self.exchange = Exchange(receiver)
        return self.exchange

    def retire(self) -> None:
        """There is nothing to let go of."""

    def close(self) -> None:
        """There is nothing to close."""


@dataclass
class Truth:
    """What a server has really said."""

    kind: Kind
    choices: int
    texts: dict[int, str] = field(default_factory=dict)
    calls: dict[int, list[list[str]]] = field(default_factory=dict)
    finishes: dict[int, str] = field(default_factory=dict)
    broken: bool = False
    over: bool = False

    def hear(self, told: Any) -> None:
        """Take note of an event's data."""
        if self.broken or self.over:
            return
        if told == DONE:
            self.end()
        elif not isinstance(told, dict) or "choices" not in told:
            self.broken = True
        else:
            for choice in told["choices"]:
                self._hear(choice)

    def end(self) -> None:
        """There is nothing more."""
        self.over = True
        self.broken = self.broken or len(self.finishes) < self.choices

    def _hear(self, choice: dict[str, Any]) -> None:
        index = choice["index"]
        delta = choice.get("delta", {})
        text = choice.get("text") or delta.get("content") or ""
        calls = delta.get("tool_calls") or ()
        says = text or delta.get("reasoning_content") or calls or choice["logprobs"]
        reason = choice["finish_reason"]
        if not (says or reason) or self.broken:
            return
        if not 0 <= index < self.choices or index in self.finishes:
            self.broken = True
            return
        self.texts[index] = self.texts.get(index, "") + text
        known = self.calls.setdefault(index, [])
        for call in calls:
            number, function = call["index"], call["function"]
            if number == len(known) and function.get("name"):
                known.append([function["name"], function["arguments"]])
            elif number < len(known):
                known[number][1] += function["arguments"]
            else:
                self.broken = True
        if reason == "abort":
            self.broken = True
        elif reason:
            told = {"eos": "stop", "max_tokens": "length"}.get(reason, reason)
            text_only = self.kind == "completion" and told == "tool_calls"
            self.finishes[index] = "stop" if text_only else told


INDICES = st.sampled_from([0, 0, 0, 0, 0, 0, 1, 1, 2, -1])
TEXTS = st.text(min_size=1, max_size=4) | st.sampled_from(
    [
        '"',
        "\\",
        '"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
        "\r\n\r\n",
        "é😀",
        "plain",
        " words",
    ]
)
REASONS = ["stop", "length", "content_filter", "tool_calls", "eos", "max_tokens"]


def chunk(kind: Kind, index: int, finish: str | None = None, **said: Any) -> dict[str, Any]:
    """Return a chunk as SGLang writes it; ``said`` are parts of a delta, and ``logprobs``."""
    choice: dict[str, Any] = {"index": index}
    logprobs = said.pop("logprobs", None)
    if kind == "chat":
        choice["delta"] = said
    else:
        choice["text"] = said.get("content", "")
    choice |= {"logprobs": logprobs, "finish_reason": finish, "matched_stop": None}
    name = "chat.completion.chunk" if kind == "chat" else "text_completion"
    return {
        "id": "theirs",
        "object": name,
        "created": 9,
        "model": "theirs/Model",
        "choices": [choice],
        "usage": None,
    }


def weighed(kind: Kind, text: str) -> dict[str, Any]:
    """Return log probabilities in the endpoint's shape."""
    if kind == "chat":
        entry = {"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": [], "extra": 1}
        return {"content": [entry]}
    return {
        "tokens": [text],
        "token_logprobs": [None],
        "top_logprobs": [{text: -0.5}],
        "text_offset": [0],
    }


@st.composite
def chunks(draw: st.DrawFn, kind: Kind, index: int, calls: list[int]) -> dict[str, Any]:
    """Return a chunk of an honest server; ``calls`` counts its calls of functions."""
    text = draw(TEXTS)
    what = draw(st.sampled_from(["text", "text", "text", "weighed", "thought", "call", "more"]))
    if what == "weighed":
        return chunk(kind, index, content=text, logprobs=weighed(kind, text))
    if kind == "chat":
        if what == "thought":
            return chunk(kind, index, content=None, reasoning_content=text)
        if what == "call" or (what == "more" and not calls[0]):
            calls[0] += 1
            function = {"name": "f", "arguments": text}
            call = {"index": calls[0] - 1, "id": "c", "type": "function", "function": function}
            return chunk(kind, index, content=None, tool_calls=[call])
        if what == "more":
            number = draw(st.integers(0, calls[0] - 1))
            more = {"index": number, "function": {"arguments": text}}
            return chunk(kind, index, tool_calls=[more])
    return chunk(kind, index, content=text)


@st.composite
def honest(draw: st.DrawFn, kind: Kind, choices: int) -> list[Any]:
    """Return the events of a server that does as it should."""
    said: list[Any] = []
    for index in range(choices):
        said.append(chunk(kind, index, role="assistant", content="", reasoning_content=None))
        calls = [0]
        said += [draw(chunks(kind, index, calls)) for _ in range(draw(st.integers(0, 5)))]
        said.append(chunk(kind, index, draw(st.sampled_from(REASONS))))
    usage = {**chunk(kind, 0), "choices": [], "usage": USAGE}
    return [*said, usage, DONE]


@st.composite
def astray(draw: st.DrawFn, kind: Kind) -> Any:
    """Return an event that no server should send, or not there."""
    index = draw(INDICES)
    return draw(
        st.sampled_from(
            [
                DONE,
                "garbage",
                '{"choices":',
                {"error": {"message": "boom at /srv/x.py", "code": 500}},
                {"error": "Unauthorized"},
                {"object": "error", "message": "The request queue is full.", "code": 503},
                chunk(kind, index, "abort"),
                chunk(kind, index, "stop"),
                chunk(kind, index, content="late"),
                chunk("chat", 0, tool_calls=[{"index": 7, "function": {"arguments": "{}"}}])
                if kind == "chat"
                else chunk(kind, 7, content="x"),
            ]
        )
    )


def written(told: Any, style: tuple[bool, int]) -> bytes:
    """Return an event as servers write it: compact or spaced, with comments, in one line or several."""
    spaced, form = style
    if isinstance(told, str):
        data = told
    elif form == 2:
        data = json.dumps(told, indent=1)
    else:
        data = json.dumps(told, separators=(", ", ": ") if spaced else (",", ":"))
    lines = b"".join(b"data: " + line.encode() + b"\n" for line in data.split("\n"))
    if form == 1:
        lines = b": a comment\n\nevent: message\nid: 5\n" + lines
    return lines + b"\n"


@st.composite
def plays(draw: st.DrawFn) -> tuple[Any, ...]:
    """Return a request, what its server sends, and what else happens."""
    kind = draw(st.sampled_from(["chat", "completion"]))
    choices = draw(st.sampled_from([1, 1, 1, 2]))
    said = draw(honest(kind, choices))
    if draw(st.sampled_from([False, False, True])):
        place = draw(st.integers(0, len(said)))
        said[place : place + draw(st.integers(0, 1))] = [draw(astray(kind))]
    if draw(st.sampled_from([False] * 5 + [True])):
        chunks_told = [told for told in said if isinstance(told, dict) and told.get("choices")]
        chunks_told[-1]["choices"][0]["finish_reason"] = "abort"
    if draw(st.sampled_from([False] * 5 + [True])):
        del said[draw(st.integers(0, len(said) - 1))]
    styles = draw(st.lists(st.tuples(st.booleans(), st.sampled_from([0, 0, 0, 1, 2])), min_size=1))
    pairs = zip(said, itertools.cycle(styles))
    newline = draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"]))
    wire = b"".join(written(*pair) for pair in pairs).replace(b"\n", newline)
    end = draw(st.sampled_from([len(wire)] * 3 + [draw(st.integers(0, len(wire)))]))
    cuts = sorted(draw(st.lists(st.integers(0, end), max_size=6)))
    pieces = [wire[a:b] for a, b in itertools.pairwise([0, *cuts, end])]
    steps: list[Any] = [("body", piece) for piece in pieces]
    for what in draw(st.lists(st.sampled_from(["turn", "lag", "read", "ping"]), max_size=3)):
        steps.insert(draw(st.integers(0, len(steps))), (what,))
    steps.append((draw(st.sampled_from(["end", "end", "end", "lose"])),))
    if draw(st.sampled_from([False] * 5 + [True])):
        steps.insert(draw(st.integers(0, len(steps))), ("leave",))
    return kind, choices, said, end == len(wire), steps


def step(visit: Visit, exchange: Exchange, what: str, rest: list[Any]) -> None:
    """Let one thing happen."""
    if exchange.ended:
        return
    receiver = exchange.receiver
    if what == "body":
        receiver.on_body(rest[0])
    elif what == "end":
        exchange.ended = True
        receiver.on_end()
    elif what == "lose":
        exchange.ended = True
        receiver.on_error(ConnectionLost("10.0.0.5 has gone"))
    elif what == "leave":
        visit.leave()
    elif what == "lag":
        visit.reply.pause()
    elif what == "read":
        visit.reply.resume()
    elif what == "ping":
        visit.ping()


def check(visit: Visit, said: list[Any], whole: bool, lost: bool) -> str:
    """Compare what the client has read with what the server has said; return what it was."""
    truth = Truth(visit.kind, visit.choices)
    for told in said:
        truth.hear(told)
    if not truth.over:
        truth.end()
    read = visit.read()
    for secret in (b"theirs", b"10.0.0.5", b"/srv/", b"Unauthorized"):
        assert secret not in visit.wire.data
    for index, text in read.texts.items():
        assert truth.texts.get(index, "").startswith(text)
    for index, calls in read.calls.items():
        for (_, name, arguments), (real, rest) in zip(calls, truth.calls[index], strict=False):
            assert name == real
            assert rest.startswith(arguments)
    if read.error is None:
        assert read.finishes == truth.finishes
        assert read.texts == {index: truth.texts.get(index, "") for index in range(visit.choices)}
        assert {i: [call[1:] for call in calls] for i, calls in read.calls.items()} == {
            i: calls for i, calls in truth.calls.items() if calls
        }
        assert not truth.broken
        return "clean"
    if whole and not lost:
        assert truth.broken
    return "broken"


async def asked(adapter: ServerAdapter) -> Exchange:
    """Wait until the request is at the server."""
    while True:
        await turns(1)
        for target in adapter._targets.values():
            upstream: Any = target.pool
            if upstream.exchange is not None:
                return upstream.exchange  # type: ignore[no-any-return]


pytestmark = pytest.mark.pure


@pytest.fixture(autouse=True)
def upstreams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no adapter open real connections."""
    monkeypatch.setattr(server, "Pool", Upstream)


@given(plays(), st.booleans())
@settings(max_examples=examples(250), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_client_reads_the_truth(drawn: tuple[Any, ...], with_usage: bool) -> None:
    """A legal stream with exactly one end, clean only after a clean end; and every counter is zero."""
    kind, choices, said, whole, steps = drawn

    async def play() -> None:
        adapter = ServerAdapter()
        visit = Visit(adapter, kind, choices=choices, with_usage=with_usage)
        exchange = await asked(adapter)
        exchange.receiver.on_head(200, SSE)
        for what, *rest in steps:
            step(visit, exchange, what, rest)
            if what == "turn":
                await turns()
        await visit.over()
        if visit.left:
            note("left")
        else:
            note(check(visit, said, whole, ("lose",) in steps))
        visit.check_that_nothing_is_left()
        assert exchange.ended or not visit.left
        await adapter.close()

    run(play)


def gathered(kind: Kind, said: list[Any], choices: int) -> dict[str, Any]:
    """Return as one answer what an honest server would have streamed."""
    truth = Truth(kind, choices)
    for told in said:
        truth.hear(told)
    whole: list[dict[str, Any]] = []
    for index in range(choices):
        text = truth.texts.get(index, "")
        calls = [
            {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
            for name, arguments in truth.calls.get(index, ())
        ]
        message = {"role": "assistant", "content": text, "tool_calls": calls or None}
        inner: dict[str, Any] = {"message": message} if kind == "chat" else {"text": text}
        whole.append({"index": index, **inner, "finish_reason": truth.finishes.get(index)})
    return {"id": "theirs", "model": "theirs/Model", "choices": whole, "usage": USAGE, "x": {}}


@st.composite
def whole_plays(draw: st.DrawFn) -> tuple[Any, ...]:
    """Return a request and its answer in one piece, or what came of it."""
    kind = draw(st.sampled_from(["chat", "completion"]))
    choices = draw(st.sampled_from([1, 2]))
    said = draw(honest(kind, choices))
    told = gathered(kind, said, choices)
    if draw(st.sampled_from([False, False, True])):
        told = draw(
            st.sampled_from(
                [
                    {**told, "choices": told["choices"][1:]},
                    {**told, "choices": [*told["choices"], told["choices"][0]]},
                    {**told, "choices": [{**told["choices"][0], "index": 5}]},
                    {**told, "choices": None},
                    {"error": {"message": "boom at /srv/x.py"}},
                    {"object": "error", "message": "boom", "code": 400},
                    [told],
                ]
            )
        )
    data = json.dumps(told).encode()
    end = draw(st.sampled_from([len(data)] * 3 + [draw(st.integers(0, len(data)))]))
    cuts = sorted(draw(st.lists(st.integers(0, end), max_size=3)))
    steps: list[Any] = [("body", data[a:b]) for a, b in itertools.pairwise([0, *cuts, end])]
    steps.append((draw(st.sampled_from(["end", "end", "end", "lose"])),))
    if draw(st.sampled_from([False] * 5 + [True])):
        steps.insert(draw(st.integers(0, len(steps))), ("leave",))
    status = draw(st.sampled_from([200] * 5 + [400, 401, 404, 422, 429, 500, 503]))
    return kind, choices, said, steps, status


@given(whole_plays())
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_answer_in_one_piece_is_the_truth_or_an_error(drawn: tuple[Any, ...]) -> None:
    """Half of it, a broken one or a foreign status never look like an answer."""
    kind, choices, said, steps, status = drawn
    sent = b"".join(rest[0] for what, *rest in steps if what == "body")
    good = status == 200 and sent == json.dumps(gathered(kind, said, choices)).encode()

    async def play() -> None:
        adapter = ServerAdapter()
        visit = Visit(adapter, kind, choices=choices, stream=False)
        exchange = await asked(adapter)
        exchange.receiver.on_head(status, {b"content-type": b"application/json"})
        for what, *rest in steps:
            step(visit, exchange, what, rest)
        await visit.over()
        note("left" if visit.left else "good" if good else "bad")
        if not visit.left:
            read = visit.read()
            assert (read.error is None) == (good and ("lose",) not in steps)
            assert b"theirs" not in visit.wire.data
            assert b"/srv/" not in visit.wire.data
            if read.error is None:
                check(visit, said, True, False)
        visit.check_that_nothing_is_left()
        await adapter.close()

    run(play)
