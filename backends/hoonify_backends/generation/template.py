"""The model's chat template: messages in, prompt text out, in a sandbox."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from hoonify_backends.generation.tools.formats import tool_format
from hoonify_backends.generation.tools.turns import (
    calls_in_text,
    results_in_text,
    with_description,
)
from hoonify_backends.generation.turns import Turn, in_parts, read_turn, tool_for_template
from hoonify_router.errors import InvalidRequest, InvalidValue
from hoonify_router.types import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ASKED: Turn = {"role": "user", "content": "probe_question"}
_CALLED: Turn = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "probe0000",  # as long as the ids that some templates insist on
            "type": "function",
            "function": {"name": "probe_name", "arguments": {"probe_key": "probe_value"}},
        }
    ],
}
_RETURNED: Turn = {
    "role": "tool",
    "name": "probe_name",
    "tool_call_id": "probe0000",
    "content": "probe_result",
}
_TOOL = {
    "type": "function",
    "function": {
        "name": "probe_name",
        "description": "probe",
        "parameters": {"type": "object", "properties": {}},
    },
}
_SPECIAL_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token")


class _Refused(Exception):
    """The template itself called ``raise_exception``."""


class ChatTemplate:
    """Renders conversations as Hugging Face's ``apply_chat_template`` does.

    What a template leaves out, of tools, of earlier calls and of their results, is told in text instead, in
    the format in which the model is to write calls. What it leaves out is found by trying.

    Args:
        source: The Jinja template.
        tokenizer_config: ``tokenizer_config.json``, for the special tokens that templates name.
        tool_parser: Name of the format of calls; without one, the plain format of ours.
        image_mark: Text that stands for an image; ``None`` where the model sees none.

    Raises:
        jinja2.TemplateError: The source is not a template.
        ValueError: There is no such format.
    """

    def __init__(
        self,
        source: str,
        tokenizer_config: Mapping[str, Any],
        tool_parser: str | None = None,
        image_mark: str | None = None,
    ) -> None:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _now
        self._template = environment.from_string(source)
        self._format = tool_format(tool_parser)
        self._image_mark = image_mark
        self._knows_developer = "developer" in source
        # Mistral's templates refuse any id that is not nine letters and digits.
        self._short_ids = "length != 9" in source or "length == 9" in source
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
            Unsupported: A message has something in it that the model cannot read.
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
        turns = [
            read_turn(message, place, self._knows_developer, self._short_ids, self._image_mark)
            for place, message in enumerate(messages)
        ]
        turns, known_tools = self._with_tools(turns, tools)
        if self._wants_parts:
            turns = [in_parts(turn) for turn in turns]
        try:
            return self._render(turns, known_tools, extra)
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

    def _render(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Mapping[str, Any]] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> str:
        values = {"tools": tools, "documents": None, "add_generation_prompt": True, **self._given}
        return self._template.render(values | dict(extra or {}), messages=list(turns))

    def _with_tools(
        self, turns: list[Turn], tools: Sequence[Mapping[str, Any]] | None
    ) -> tuple[list[Turn], list[dict[str, Any]] | None]:
        """Return the conversation as this template can tell it, and the tools that it can list."""
        if any(turn["role"] == "tool" for turn in turns) and not self._knows_results:
            turns = results_in_text(turns)
        if any("tool_calls" in turn for turn in turns) and not self._knows_calls:
            turns = calls_in_text(turns, self._format)
        if not tools:
            return turns, None
        listed = [tool_for_template(tool) for tool in tools]
        if self._knows_tools:
            return turns, listed
        text = self._format.describe(listed)
        return with_description(turns, text, system=self._knows_system), None

    @cached_property
    def _wants_parts(self) -> bool:
        """Whether it shows contents that are lists only, as templates of some models that see do."""
        asked = "probe_question"
        return not self._shows([_ASKED], asked) and self._shows([in_parts(_ASKED)], asked)

    @cached_property
    def _knows_tools(self) -> bool:
        return self._shows([_ASKED], "probe_name", tools=[_TOOL])

    @cached_property
    def _knows_system(self) -> bool:
        return self._shows([{"role": "system", "content": "probe_system"}, _ASKED], "probe_system")

    @cached_property
    def _knows_calls(self) -> bool:
        shown = ("probe_name", "probe_value")
        return self._shows([_ASKED, _CALLED, _RETURNED], *shown) or self._shows(
            [_ASKED, _CALLED, _ASKED], *shown
        )

    @cached_property
    def _knows_results(self) -> bool:
        return self._shows([_ASKED, _CALLED, _RETURNED], "probe_result")

    def _shows(
        self,
        turns: Sequence[Turn],
        *texts: str,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> bool:
        """Tell whether the template renders a conversation with these texts in it."""
        try:
            rendered = self._render(turns, tools)
        except Exception:  # whatever a template stumbles over, it does not show it
            return False
        return all(text in rendered for text in texts)


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
