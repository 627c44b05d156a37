"""A stream as a strict client reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from openai.types.chat import ChatCompletionChunk


@dataclass
class Sheet:
    """An outlet that keeps what is written."""

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
class Read:
    """A stream as a strict client reads it."""

    texts: dict[int, str] = field(default_factory=dict)
    finishes: dict[int, str] = field(default_factory=dict)
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    chunks: list[ChatCompletionChunk] = field(default_factory=list)


def read_stream(data: bytes, with_usage: bool) -> Read:
    """Read a stream, checking every promise of the design on the way."""
    read = Read()
    assert data.endswith(b"\n\n")
    events = data[:-2].split(b"\n\n")
    assert events.pop() == b"data: [DONE]"
    spoken: set[int] = set()
    identities = set()
    for place, event in enumerate(events):
        assert event.startswith(b"data: ")
        assert b"\n" not in event
        body = json.loads(event[6:])
        if "error" in body:
            assert place == len(events) - 1, "something follows the error"
            assert set(body["error"]) == {"message", "type", "param", "code"}
            read.error = body["error"]
            break
        read.chunks.append(ChatCompletionChunk.model_validate(body, strict=True))
        identities.add((body["id"], body["created"], body["model"], body["object"]))
        if not body["choices"]:
            assert with_usage
            assert place == len(events) - 1
            read.usage = body["usage"]
            break
        assert ("usage" in body) == with_usage
        assert body.get("usage") is None
        for choice in body["choices"]:
            index, delta = choice["index"], choice["delta"]
            assert index not in read.finishes, "something follows the finish"
            assert (delta.get("role") == "assistant") == (index not in spoken), "the role is first"
            spoken.add(index)
            read.texts[index] = read.texts.get(index, "") + (delta.get("content") or "")
            if choice["finish_reason"] is not None:
                read.finishes[index] = choice["finish_reason"]
    assert len(identities) <= 1
    return read
