"""Tools, answer formats and other objects that a chat request carries as they came."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import msgspec

from hoonify_router.errors import InvalidValue
from hoonify_router.types import ChatRequest
from hoonify_router.validation_complaints import explain, impossible
from hoonify_router.validation_shapes import SHAPES

SHAPED = (*SHAPES, "chat_template_kwargs")
"""Fields that ``check_shapes`` looks at."""

_FREE = frozenset({"response_format", "tools", "tool_choice", "functions", "chat_template_kwargs"})
MAX_DEPTH = 100
"""How deep objects and lists may lie in each other where a client is free: schemas, template values."""

_shaped = attrgetter(*SHAPED)
_HOLDERS = (dict, list)
_encode = msgspec.json.Encoder().encode
_encode_frame = msgspec.msgpack.Encoder().encode


def check_shapes(chat: ChatRequest) -> None:
    """Refuse objects that are not of their shape, and choices of tools that are not there.

    Raises:
        InvalidRequest: One of its kinds, with the path of the offending part as ``param``.
    """
    for name, value in zip(SHAPED, _shaped(chat), strict=True):
        if value is not None and type(value) is not str:
            if name in SHAPES:
                check_shape(value, SHAPES[name], name)
            if name in _FREE:
                check_freedom(value, name)
    if chat.tool_choice is not None and chat.tool_choice not in ("none", "auto"):
        if not chat.tools:
            raise impossible("tool_choice", "it is only allowed together with 'tools'")
        if isinstance(chat.tool_choice, dict):
            _check_choice(chat.tool_choice, chat.tools)
    if isinstance(chat.function_call, dict):
        names = [function["name"] for function in chat.functions or ()]
        if not names:
            raise impossible("function_call", "it is only allowed together with 'functions'")
        if chat.function_call["name"] not in names:
            raise impossible("function_call.name", "there is no such function in 'functions'")


def check_shape(value: Any, shape: Any, path: str) -> None:
    """Refuse an object that is not of its shape.

    Raises:
        InvalidRequest: One of its kinds; ``param`` starts with ``path``.
    """
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise explain(str(error), shape, value, path) from None


def check_freedom(value: Any, path: str) -> None:
    """Refuse what is nested too deeply, or holds numbers that no message between processes can carry.

    Raises:
        InvalidValue: With ``path`` as ``param``.
    """
    try:
        _encode_frame(value)
        text = _encode(value)
    except OverflowError:
        raise impossible(path, "it holds a number that is too large") from None
    except RecursionError:
        raise _too_deep(path) from None
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH:  # only then can it be so deep
        level = [value]
        for _ in range(MAX_DEPTH):
            level = [one for holder in level for one in _entries(holder) if type(one) in _HOLDERS]
        if level:
            raise _too_deep(path)


def _entries(holder: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return holder.values() if type(holder) is dict else holder


def _too_deep(path: str) -> InvalidValue:
    return impossible(path, f"it is nested more than {MAX_DEPTH} levels deep")


def _check_choice(choice: dict[str, Any], tools: list[dict[str, Any]]) -> None:
    """Refuse a choice that names a tool which is not there."""
    kind = choice["type"]
    if kind == "allowed_tools":
        for number, one in enumerate(choice[kind]["tools"]):
            if not any(_same_tool(one, tool) for tool in tools):
                raise _no_such_tool(f"tool_choice.allowed_tools.tools[{number}]")
    elif not any(_same_tool(choice, tool) for tool in tools):
        raise _no_such_tool(f"tool_choice.{kind}.name")


def _same_tool(one: dict[str, Any], tool: dict[str, Any]) -> bool:
    kind = one.get("type")
    named = one.get(kind) if isinstance(kind, str) else None
    if kind != tool["type"] or not isinstance(named, dict):
        return False
    return bool(named.get("name") == tool[kind]["name"])


def _no_such_tool(param: str) -> InvalidValue:
    return impossible(param, "there is no such tool in 'tools'")
