"""Messages of a request as chat templates read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hoonify_router.errors import Unsupported
from hoonify_router.types import ImagePart, Message, RefusalPart, TextPart

Turn = dict[str, Any]
"""One message, with its content as text."""


def read_turn(
    message: Message, place: int, developer: bool, short_ids: bool, image_mark: str | None = None
) -> Turn:
    """Return a message as chat templates read it.

    Args:
        message: The message.
        place: Where in the request it stands.
        developer: Whether the template knows the role developer.
        short_ids: Whether the template wants ids of calls with nine letters and digits.
        image_mark: Text that stands for an image; ``None`` where the model sees none.

    Raises:
        Unsupported: It has something in it that the model cannot read.
    """
    role: str = message.role
    if role == "developer" and not developer:
        role = "system"  # OpenAI's newer name for the same
    if role == "function":
        role = "tool"  # its older name
    plain: Turn = {"role": role, "content": _text(message, place, image_mark)}
    for name in ("name", "tool_call_id", "reasoning_content"):
        if (value := getattr(message, name)) is not None:
            plain[name] = value
    calls = list(message.tool_calls or ())
    if message.function_call:
        calls.append({"id": "", "type": "function", "function": message.function_call})
    if calls:
        plain["tool_calls"] = [_with_parsed_arguments(call) for call in calls]
    return _with_short_ids(plain) if short_ids else plain


def in_parts(turn: Turn) -> Turn:
    """Return a message with its content as a list of one text, for templates that read lists only."""
    return {**turn, "content": [{"type": "text", "text": turn["content"]}]}


def _text(message: Message, place: int, image_mark: str | None) -> str:
    content = message.content
    if content is None:
        return message.refusal or ""
    if isinstance(content, str):
        return content
    pieces: list[str] = []
    after_text = False
    for part_place, part in enumerate(content):
        if isinstance(part, TextPart | RefusalPart):
            if after_text:
                pieces.append("\n")
            pieces.append(part.text if isinstance(part, TextPart) else part.refusal)
            after_text = True
        elif isinstance(part, ImagePart) and image_mark is not None:
            pieces.append(image_mark)
            after_text = False
        else:
            what = "text" if image_mark is None else "text and images"
            raise Unsupported(
                f"This model reads {what} only.", param=f"messages[{place}].content[{part_place}]"
            )
    return "".join(pieces)


def _with_parsed_arguments(call: dict[str, Any]) -> dict[str, Any]:
    """Return a tool call with its arguments as an object: clients send JSON text, templates want to walk it."""
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"])
    except ValueError:
        return call
    return {**call, "function": {**function, "arguments": arguments}}


def _with_short_ids(turn: Turn) -> Turn:
    """Return a message whose ids of calls are nine letters and digits; equal ones stay equal."""
    if "tool_call_id" in turn:
        turn["tool_call_id"] = _short(turn["tool_call_id"])
    elif turn["role"] == "tool":
        turn["tool_call_id"] = _short("")
    if "tool_calls" in turn:
        turn["tool_calls"] = [
            {**call, "id": _short(str(call.get("id", "")))} for call in turn["tool_calls"]
        ]
    return turn


def _short(name: str) -> str:
    return "".join(filter(str.isalnum, name))[-9:].rjust(9, "0")


def tool_for_template(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool with all that templates rely on, and without what is for the engine only."""
    function = {"description": "", "parameters": {"type": "object", "properties": {}}}
    function |= {
        key: value
        for key, value in tool["function"].items()
        if value is not None and key != "strict"
    }
    names = ("name", "description", "parameters")
    ordered = {name: function.pop(name) for name in names}
    return {"type": "function", "function": {**ordered, **function}}
