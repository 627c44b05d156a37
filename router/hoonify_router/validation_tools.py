"""Tools and answer formats: fields that are objects of a shape of their own."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from hoonify_router.errors import InvalidType, InvalidValue, MissingParameter
from hoonify_router.types import ChatRequest

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOOL_TYPES = ("function", "custom")
_CHOICES = ("none", "auto", "required")
_FORMATS = ("text", "json_object", "json_schema")


def check_tools(chat: ChatRequest) -> None:
    """Refuse tools, old functions and choices among them that no model could use.

    Raises:
        MissingParameter: Something required is not there.
        InvalidType: Something is of another JSON type.
        InvalidValue: Something cannot be.
    """
    tools, choice = chat.tools, chat.tool_choice
    if tools:
        _at_most("tools", tools)
        for number, tool in enumerate(tools):
            _check_tool(tool, f"tools[{number}]")
    elif choice not in (None, "none", "auto"):
        _refuse("tool_choice", "it is only allowed together with 'tools'")
    if choice is not None:
        _check_choice(choice)
    if chat.functions:
        _at_most("functions", chat.functions)
        for number, function in enumerate(chat.functions):
            _check_name(function, f"functions[{number}]")
    elif chat.function_call not in (None, "none", "auto"):
        _refuse("function_call", "it is only allowed together with 'functions'")
    if isinstance(chat.function_call, str):
        if chat.function_call not in ("none", "auto"):
            _refuse("function_call", "it must be none, auto or an object")
    elif chat.function_call is not None:
        _check_name(chat.function_call, "function_call")


def check_response_format(chat: ChatRequest) -> None:
    """Refuse a form of answer that does not exist.

    Raises:
        MissingParameter: Something required is not there.
        InvalidType: Something is of another JSON type.
        InvalidValue: There is no such form.
    """
    form = chat.response_format
    if form is None:
        return
    kind = _string(form, "type", "response_format")
    if kind not in _FORMATS:
        _refuse("response_format.type", f"it must be one of {', '.join(_FORMATS)}")
    if kind == "json_schema":
        schema = _object(form, "json_schema", "response_format")
        _check_name(schema, "response_format.json_schema")
        if "schema" in schema:
            _object(schema, "schema", "response_format.json_schema")


def _check_tool(tool: dict[str, Any], path: str) -> None:
    kind = _string(tool, "type", path)
    if kind not in _TOOL_TYPES:
        _refuse(f"{path}.type", f"it must be one of {', '.join(_TOOL_TYPES)}")
    inner = _object(tool, kind, path)
    _check_name(inner, f"{path}.{kind}")
    if kind == "function" and inner.get("parameters") is not None:
        _object(inner, "parameters", f"{path}.function")


def _check_choice(choice: str | dict[str, Any]) -> None:
    if isinstance(choice, str):
        if choice not in _CHOICES:
            _refuse("tool_choice", f"it must be one of {', '.join(_CHOICES)}, or an object")
        return
    kind = _string(choice, "type", "tool_choice")
    if kind in _TOOL_TYPES:
        _check_name(_object(choice, kind, "tool_choice"), f"tool_choice.{kind}")
    elif kind == "allowed_tools":
        _object(choice, "allowed_tools", "tool_choice")
    else:
        _refuse("tool_choice.type", "it must be function, custom or allowed_tools")


def _check_name(holder: dict[str, Any], path: str) -> None:
    if not _NAME.fullmatch(_string(holder, "name", path)):
        _refuse(f"{path}.name", "it must have 1 to 64 of the characters a-z, A-Z, 0-9, _ and -")


def _at_most(name: str, items: list[Any]) -> None:
    if len(items) > 128:
        _refuse(name, f"at most 128 are allowed, not {len(items)}")


def _string(holder: dict[str, Any], key: str, path: str) -> str:
    value = _required(holder, key, path)
    if not isinstance(value, str):
        raise _wrong_type(f"{path}.{key}", "a string")
    return value


def _object(holder: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    value = _required(holder, key, path)
    if not isinstance(value, dict):
        raise _wrong_type(f"{path}.{key}", "an object")
    return value


def _required(holder: dict[str, Any], key: str, path: str) -> Any:
    param = f"{path}.{key}"
    if key not in holder:
        raise MissingParameter(f"Missing required parameter: '{param}'.", param=param)
    return holder[key]


def _wrong_type(param: str, expected: str) -> InvalidType:
    return InvalidType(f"Invalid type for '{param}': expected {expected}.", param=param)


def _refuse(param: str, why: str) -> NoReturn:
    raise InvalidValue(f"Invalid value for '{param}': {why}.", param=param)
