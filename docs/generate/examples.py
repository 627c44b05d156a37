"""Requests and the answers to them, made by the code that makes them for clients."""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections.abc import Callable
from typing import Any, cast

from hoonify_router.answer import Answer
from hoonify_router.forms import new_answer
from hoonify_router.identity import Names
from hoonify_router.parsing import parse_chat, parse_completion, parse_embedding
from hoonify_router.reply import Reply
from hoonify_router.types import InferenceRequest, TokenLogprob, ToolCall, Usage
from hoonify_router.validation import check_values

_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def _ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "tiny-chat", "messages": [{"role": "user", "content": text}], **more}


def _greet(answer: Answer) -> None:
    answer.text("Hello! ")
    answer.text("How are you?")
    answer.finish("stop")
    answer.count(Usage(prompt_tokens=12, completion_tokens=6))


def _call(answer: Answer) -> None:
    answer.tool_call(ToolCall(0, "get_weather", '{"city":'))
    answer.tool_call(ToolCall(0, "", ' "Bonn"}'))
    answer.finish("tool_calls")
    answer.count(Usage(prompt_tokens=87, completion_tokens=14))


def _probable(answer: Answer) -> None:
    answer.text("Yes", logprobs=[TokenLogprob(b"Yes", -0.25, [(b"Yes", -0.25), (b"No", -1.5)])])
    answer.finish("length")
    answer.count(Usage(prompt_tokens=14, completion_tokens=1))


def _go_on(answer: Answer) -> None:
    answer.text(" upon a time")
    answer.finish("length")
    answer.count(Usage(prompt_tokens=1, completion_tokens=3))


def _embed(answer: Answer) -> None:
    answer.embedding(struct.pack("<3f", 0.5, -0.25, 0.125), 0)
    answer.embedding(struct.pack("<3f", 0.25, 0.5, -0.75), 1)
    answer.count(Usage(prompt_tokens=6, completion_tokens=0))


_Example = tuple[Callable[[bytes], InferenceRequest], dict[str, Any], Callable[[Answer], None]]
_EXAMPLES: dict[str, _Example] = {
    "chat": (parse_chat, _ask("Hello!", max_tokens=50), _greet),
    "chat stream": (
        parse_chat,
        _ask("Hello!", stream=True, stream_options={"include_usage": True}),
        _greet,
    ),
    "chat tools": (parse_chat, _ask("What is the weather in Bonn?", tools=[_TOOL]), _call),
    "chat logprobs": (
        parse_chat,
        _ask("Yes or no?", max_tokens=1, logprobs=True, top_logprobs=2),
        _probable,
    ),
    "completion": (
        parse_completion,
        {"model": "tiny-chat", "prompt": "Once", "max_tokens": 3, "seed": 1},
        _go_on,
    ),
    "completion stream": (
        parse_completion,
        {"model": "tiny-chat", "prompt": "Once", "max_tokens": 3, "stream": True},
        _go_on,
    ),
    "embedding": (
        parse_embedding,
        {"model": "tiny-embed", "input": ["Hello!", "Good morning"]},
        _embed,
    ),
    "embedding base64": (
        parse_embedding,
        {"model": "tiny-embed", "input": ["a", "b"], "encoding_format": "base64"},
        _embed,
    ),
}


def example(name: str) -> str:
    """Return a request and the answer to it, each in a fence."""
    parse, given, speak = _EXAMPLES[name]
    request = parse(json.dumps(given).encode())
    check_values(request)
    wire = _Wire()
    asyncio.run(_answer(request, wire, speak))
    text = _body(wire.written.decode())
    if request.streams:
        shown = f"```text\n{text.strip()}\n```"
    else:
        shown = f"```json\n{_pretty(json.loads(text))}\n```"
    return f"```json\n{_pretty(given)}\n```\n\nThe answer:\n\n{shown}"


async def _answer(request: InferenceRequest, wire: _Wire, speak: Callable[[Answer], None]) -> None:
    reply = Reply(cast(asyncio.Transport, wire), {}, chunked=False, keep_alive=False)
    answer = new_answer(request, Names(), reply, lambda: None)
    speak(answer)
    answer.complete()
    assert answer.error is None, answer.error
    answer.close()


class _Wire:
    """A client that keeps what it is sent."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        """Take bytes."""
        self.written += data

    def writelines(self, data: list[bytes]) -> None:
        """Take more of them."""
        self.written += b"".join(data)

    def is_closing(self) -> bool:
        """Stay."""
        return False

    def close(self) -> None:
        """Leave."""


def _body(text: str) -> str:
    """Return the body of an answer, with what differs each time as in OpenAI's own examples."""
    body = text.partition("\r\n\r\n")[2]
    body = re.sub(r'"created":\d+', '"created":1764000000', body)
    return re.sub(r"(chatcmpl-|cmpl-|call_)[0-9a-f]+", r"\g<1>6f1d2c", body)


def _pretty(value: Any) -> str:
    """Return JSON with objects on lines of their own, and short ones in one line."""
    return _lines(value, 0)


def _lines(value: Any, depth: int) -> str:
    flat = json.dumps(value)
    if len(flat) + 2 * depth <= 88 or not isinstance(value, (dict, list)):
        return flat
    inside, end = "\n" + "  " * (depth + 1), "\n" + "  " * depth
    if isinstance(value, list):
        items = [_lines(one, depth + 1) for one in value]
        return f"[{inside}{(',' + inside).join(items)}{end}]"
    pairs = [f"{json.dumps(key)}: {_lines(one, depth + 1)}" for key, one in value.items()]
    return f"{{{inside}{(',' + inside).join(pairs)}{end}}}"
