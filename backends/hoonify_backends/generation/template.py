"""The model's chat template: messages in, prompt text out, in a sandbox."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from hoonify_router.errors import InvalidRequest, InvalidValue, Unsupported
from hoonify_router.types import Message, RefusalPart, TextPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SPECIAL_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token")


class _Refused(Exception):
    """The template itself called ``raise_exception``."""


class ChatTemplate:
    """Renders conversations as Hugging Face's ``apply_chat_template`` does.

    Args:
        source: The Jinja template.
        tokenizer_config: ``tokenizer_config.json``, for the special tokens that templates name.

    Raises:
        jinja2.TemplateError: The source is not a template.
    """

    def __init__(self, source: str, tokenizer_config: Mapping[str, Any]) -> None:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _now
        self._template = environment.from_string(source)
        self._knows_developer = "developer" in source
        self._given = {
            name: text
            for name in _SPECIAL_TOKENS
            if (text := _content(tokenizer_config.get(name))) is not None
        }
        self._reserved = {"messages", "tools", "documents", *environment.globals, *self._given}

    def render(
        self,
        messages: Sequence[Message],
        extra: Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> str:
        """Return the prompt for the assistant's next turn.

        Args:
            messages: The conversation.
            extra: The request's ``chat_template_kwargs``.
            tools: What the model may call, in OpenAI's form.

        Raises:
            Unsupported: A message has something else than text in it.
            InvalidRequest: The template does not take this conversation.
            InvalidValue: ``extra`` names something that is not the client's to set.
        """
        from jinja2 import TemplateError

        for name in extra or {}:
            if name in self._reserved:
                raise InvalidValue(
                    f"'{name}' cannot be set through chat_template_kwargs.",
                    param=f"chat_template_kwargs.{name}",
                )
        plain = [self._plain(message, place) for place, message in enumerate(messages)]
        values = {
            "tools": tools or None,
            "documents": None,
            "add_generation_prompt": True,
            **self._given,
        }
        try:
            return self._template.render(values | dict(extra or {}), messages=plain)
        except _Refused as exc:
            raise InvalidRequest(
                f"The model's chat template refuses these messages: {exc}", param="messages"
            ) from exc
        except (
            TemplateError,
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as exc:
            raise InvalidRequest(
                "The model's chat template cannot render these messages; a role, an order of roles or"
                " a field in them is not one that this model knows.",
                param="messages",
            ) from exc

    def _plain(self, message: Message, place: int) -> dict[str, Any]:
        role: str = message.role
        if role == "developer" and not self._knows_developer:
            role = "system"  # OpenAI's newer name for the same
        plain: dict[str, Any] = {"role": role, "content": _text(message, place)}
        for name in ("name", "tool_call_id", "reasoning_content"):
            if (value := getattr(message, name)) is not None:
                plain[name] = value
        if message.tool_calls:
            plain["tool_calls"] = [_with_parsed_arguments(call) for call in message.tool_calls]
        return plain


def _text(message: Message, place: int) -> str:
    content = message.content
    if content is None:
        return message.refusal or ""
    if isinstance(content, str):
        return content
    texts = []
    for part_place, part in enumerate(content):
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, RefusalPart):
            texts.append(part.refusal)
        else:
            raise Unsupported(
                "This model reads text only.", param=f"messages[{place}].content[{part_place}]"
            )
    return "\n".join(texts)


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


def _content(token: Any) -> str | None:
    """Return a special token's text; some configurations wrap it in an object."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _raise_exception(message: str) -> NoReturn:
    raise _Refused(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter escapes HTML, which a prompt must not."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _now(form: str) -> str:
    return datetime.now().strftime(form)
