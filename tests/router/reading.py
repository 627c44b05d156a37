"""Answers as a strict client reads them: OpenAI's own types, and nothing that OpenAI does not have."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jsonschema
from openai import BaseModel
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

Kind = Literal["chat", "completion"]

EXTRAS = frozenset({"reasoning_content"})
"""What clients of open models expect beyond OpenAI's schema."""

_FINISHES = {
    "chat": frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"}),
    "completion": frozenset({"stop", "length", "content_filter"}),
}
_PUBLISHED = Path(__file__).parents[3] / "shared" / "openai" / "openai_schemas.json"


def published(name: str, told: Any) -> None:
    """Hold ``told`` against OpenAI's published schema, where it is at hand."""
    if _PUBLISHED.is_file():
        document = json.loads(_PUBLISHED.read_bytes())
        schema = {"$ref": f"#/components/schemas/{name}", **document}
        jsonschema.Draft202012Validator(schema).validate(told)


def strict(model: Any) -> None:
    """Refuse every field that OpenAI's types do not know."""
    if isinstance(model, BaseModel):
        extra = set(model.model_extra or ())
        assert extra <= EXTRAS, f"{type(model).__name__} has {sorted(extra)}"
        for name in model.model_fields_set:
            strict(getattr(model, name, None))
    elif isinstance(model, list):
        for one in model:
            strict(one)


def read_chat(body: bytes) -> ChatCompletion:
    """Read the answer to a chat in one piece."""
    told = json.loads(body)
    chat = ChatCompletion.model_validate(told, strict=True)
    strict(chat)
    assert set(told) <= {"id", "object", "created", "model", "choices", "usage"}
    for place, choice in enumerate(told["choices"]):
        assert set(choice) == {"index", "message", "logprobs", "finish_reason"}
        assert {"role", "content", "refusal"} <= set(choice["message"])
        assert choice["index"] == place
    return chat


def read_text(body: bytes) -> Completion:
    """Read a plain completion in one piece."""
    told = json.loads(body)
    completion = Completion.model_validate(told, strict=True)
    strict(completion)
    for place, choice in enumerate(told["choices"]):
        assert set(choice) == {"index", "text", "logprobs", "finish_reason"}
        assert choice["index"] == place
    return completion


def read_vectors(body: bytes) -> CreateEmbeddingResponse:
    """Read a list of embeddings as numbers."""
    told = json.loads(body)
    vectors = CreateEmbeddingResponse.model_validate(told, strict=True)
    strict(vectors)
    assert [one["index"] for one in told["data"]] == list(range(len(told["data"])))
    return vectors


@dataclass
class Sheet:
    """An outlet that keeps what is written."""

    takes_all_at_end: bool = True
    data: bytes = b""
    writes: list[bytes] = field(default_factory=list)
    ended: int = 0

    def write(self, data: bytes) -> None:
        assert not self.ended, "written after the end"
        assert data
        self.writes.append(data)
        self.data += data

    def end(self, data: bytes) -> None:
        self.write(data)
        self.ended += 1


@dataclass
class Mail:
    """A mailbox that keeps what is sent."""

    sent: list[bytes] = field(default_factory=list)

    def send(self, status: int, body: bytes) -> None:
        assert status == 200
        assert not self.sent, "sent twice"
        self.sent.append(body)

    @property
    def body(self) -> bytes:
        (body,) = self.sent
        return body


@dataclass
class Read:
    """A stream as a strict client reads it."""

    texts: dict[int, str] = field(default_factory=dict)
    thoughts: dict[int, str] = field(default_factory=dict)
    calls: dict[int, list[list[str]]] = field(default_factory=dict)
    """Of each choice: id, name and arguments of each call."""
    logprobs: dict[int, list[Any]] = field(default_factory=dict)
    finishes: dict[int, str] = field(default_factory=dict)
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    chunks: list[Any] = field(default_factory=list)
    pings: int = 0


def read_stream(data: bytes, with_usage: bool, kind: Kind = "chat") -> Read:
    """Read a stream, checking every promise of the design on the way."""
    read = Read()
    assert data.endswith(b"\n\n")
    events = data[:-2].split(b"\n\n")
    assert events.pop() == b"data: [DONE]"
    read.pings = events.count(b": waiting")
    events = [event for event in events if event != b": waiting"]
    spoken: set[int] = set()
    identities = set()
    for place, event in enumerate(events):
        last = place == len(events) - 1
        assert event.startswith(b"data: ")
        assert b"\n" not in event
        body = json.loads(event[6:])
        if "error" in body:
            assert last, "something follows the error"
            assert set(body["error"]) == {"message", "type", "param", "code"}
            read.error = body["error"]
            break
        identities.add((body["id"], body["created"], body["model"], body["object"]))
        read.chunks.append(_chunk(body, kind))
        if not body["choices"]:
            assert with_usage
            assert last
            read.usage = body["usage"]
            break
        assert ("usage" in body) == with_usage
        assert body.get("usage") is None
        for choice in body["choices"]:
            index = choice["index"]
            assert index not in read.finishes, "something follows the finish"
            if kind == "chat":
                _read_delta(read, choice, index not in spoken)
            else:
                _read_text(read, choice)
            spoken.add(index)
            if choice["finish_reason"] is not None:
                assert choice["finish_reason"] in _FINISHES[kind]
                read.finishes[index] = choice["finish_reason"]
    assert len(identities) <= 1
    return read


def _chunk(body: dict[str, Any], kind: Kind) -> Any:
    if kind == "chat":
        chunk: Any = ChatCompletionChunk.model_validate(body, strict=True)
    else:
        # OpenAI's types and schema forget that a chunk is not the last one; its server does not.
        choices = [
            {**one, "finish_reason": one["finish_reason"] or "stop"} for one in body["choices"]
        ]
        chunk = Completion.model_validate({**body, "choices": choices}, strict=True)
    strict(chunk)
    return chunk


def _read_delta(read: Read, choice: dict[str, Any], first: bool) -> None:
    assert set(choice) == {"index", "delta", "logprobs", "finish_reason"}
    index, delta = choice["index"], choice["delta"]
    assert (delta.get("role") == "assistant") == first, "the role is first"
    read.texts[index] = read.texts.get(index, "") + (delta.get("content") or "")
    thought = delta.get("reasoning_content") or ""
    read.thoughts[index] = read.thoughts.get(index, "") + thought
    for call in delta.get("tool_calls") or ():
        calls = read.calls.setdefault(index, [])
        function = call["function"]
        if call["index"] == len(calls):
            assert set(call) == {"index", "id", "type", "function"}
            assert call["type"] == "function"
            assert call["id"]
            assert function["name"]
            calls.append([call["id"], function["name"], function["arguments"]])
        else:
            assert set(call) == {"index", "function"}
            assert set(function) == {"arguments"}
            calls[call["index"]][2] += function["arguments"]
    if choice["logprobs"] is not None:
        assert set(choice["logprobs"]) == {"content", "refusal"}
        read.logprobs.setdefault(index, []).extend(choice["logprobs"]["content"] or ())


def _read_text(read: Read, choice: dict[str, Any]) -> None:
    assert set(choice) == {"index", "text", "logprobs", "finish_reason"}
    index, logprobs = choice["index"], choice["logprobs"]
    read.texts[index] = read.texts.get(index, "") + choice["text"]
    if logprobs is not None:
        assert len({len(values) for values in logprobs.values()}) == 1
        read.logprobs.setdefault(index, []).extend(
            zip(logprobs["tokens"], logprobs["text_offset"], strict=True)
        )
