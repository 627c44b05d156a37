"""What each role's message must and may hold."""

from __future__ import annotations

from hoonify_router.errors import InvalidValue, MissingParameter
from hoonify_router.types import (
    AudioPart,
    ContentPart,
    FilePart,
    ImagePart,
    Message,
    RefusalPart,
    TextPart,
)

_TEXT = (TextPart,)
_PARTS: dict[str, tuple[type, ...]] = {
    "user": (TextPart, ImagePart, AudioPart, FilePart),
    "assistant": (TextPart, RefusalPart),
}


def check_messages(messages: list[Message]) -> None:
    """Refuse a conversation that cannot be one.

    Raises:
        MissingParameter: A message lacks what its role needs.
        InvalidValue: There is no message, or one holds what its role cannot say.
    """
    if not messages:
        raise InvalidValue(
            "Invalid value for 'messages': there must be at least one.", param="messages"
        )
    for number, message in enumerate(messages):
        content = message.content
        if type(content) is not str or message.role not in ("user", "system"):
            _check_message(message, f"messages[{number}]")
        if message.tool_calls is not None and message.role != "assistant":
            _forbid(f"messages[{number}].tool_calls", "only an assistant calls tools")


def _check_message(message: Message, path: str) -> None:
    role, content = message.role, message.content
    if content is None:
        if role != "assistant" or not _says_something(message):
            _require(f"{path}.content")
    elif not isinstance(content, str):
        _check_parts(content, role, f"{path}.content")
    if role == "tool" and message.tool_call_id is None:
        _require(f"{path}.tool_call_id")
    if role == "function" and message.name is None:
        _require(f"{path}.name")
    if role == "assistant" and message.tool_calls is not None:
        for number, call in enumerate(message.tool_calls):
            _check_call(call, f"{path}.tool_calls[{number}]")


def _says_something(message: Message) -> bool:
    """Tell whether an assistant's message without content is still an answer."""
    return bool(
        message.tool_calls
        or message.function_call
        or message.refusal is not None
        or message.audio
        or message.reasoning_content
    )


def _check_parts(parts: list[ContentPart], role: str, path: str) -> None:
    if not parts:
        _forbid(path, "it must not be empty")
    allowed = _PARTS.get(role, _TEXT)
    for number, part in enumerate(parts):
        if type(part) not in allowed:
            kind = type(part).__struct_config__.tag
            _forbid(f"{path}[{number}].type", f"a message of role '{role}' cannot hold '{kind}'")


def _check_call(call: dict[str, object], path: str) -> None:
    for key in ("id", "type"):
        if not isinstance(call.get(key), str):
            _require(f"{path}.{key}")
    if call["type"] == "function":
        function = call.get("function")
        if not isinstance(function, dict):
            _require(f"{path}.function")
        else:
            for key in ("name", "arguments"):
                if not isinstance(function.get(key), str):
                    _require(f"{path}.function.{key}")


def _require(param: str) -> None:
    raise MissingParameter(f"Missing required parameter: '{param}'.", param=param)


def _forbid(param: str, why: str) -> None:
    raise InvalidValue(f"Invalid value for '{param}': {why}.", param=param)
