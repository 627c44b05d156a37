"""What each role's message must and may hold."""

from __future__ import annotations

from hoonify_router.types import (
    AudioPart,
    ContentPart,
    FilePart,
    ImagePart,
    Message,
    RefusalPart,
    TextPart,
)
from hoonify_router.validation_complaints import impossible, missing_parameter
from hoonify_router.validation_shapes import MESSAGE_SHAPES
from hoonify_router.validation_tools import check_shape

_PLAIN = frozenset({"system", "developer", "user", "assistant"})
_SAYS = {"tool_calls": "calls tools", "function_call": "calls functions", "audio": "speaks"}
_TEXT = (TextPart,)
_PARTS: dict[str, tuple[type, ...]] = {
    "user": (TextPart, ImagePart, AudioPart, FilePart),
    "assistant": (TextPart, RefusalPart),
}


def check_messages(messages: list[Message]) -> None:
    """Refuse a conversation that cannot be one.

    Raises:
        MissingParameter: A message lacks what its role needs.
        InvalidValue: A message holds what its role cannot say.
    """
    for number, message in enumerate(messages):
        if (
            type(message.content) is not str
            or message.role not in _PLAIN
            or message.tool_calls is not None
        ):
            _check_message(message, f"messages[{number}]")


def _check_message(message: Message, path: str) -> None:
    role, content = message.role, message.content
    if content is None:
        if role == "assistant":
            if not _says_something(message):
                raise missing_parameter(f"{path}.content")
        elif role != "function":
            raise missing_parameter(f"{path}.content")
    elif not isinstance(content, str):
        _check_parts(content, role, f"{path}.content")
    if role == "tool" and message.tool_call_id is None:
        raise missing_parameter(f"{path}.tool_call_id")
    if role == "function" and message.name is None:
        raise missing_parameter(f"{path}.name")
    for name, shape in MESSAGE_SHAPES.items():
        value = getattr(message, name)
        if value is not None:
            if role != "assistant":
                raise impossible(f"{path}.{name}", f"only an assistant {_SAYS[name]}")
            check_shape(value, shape, f"{path}.{name}")


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
    allowed = _PARTS.get(role, _TEXT)
    for number, part in enumerate(parts):
        if type(part) not in allowed:
            kind = type(part).__struct_config__.tag
            raise impossible(
                f"{path}[{number}].type", f"a message of role '{role}' cannot hold '{kind}'"
            )
