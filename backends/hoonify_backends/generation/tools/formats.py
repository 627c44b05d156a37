"""The formats of calls: what a parser looks for, what a grammar forces, what a model is told."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from hoonify_backends.generation.grammar import Grammars, literal
from hoonify_backends.generation.tools import bare, hermes, mistral
from hoonify_backends.generation.tools.call_grammar import (
    Calls,
    bare_grammar,
    json_calls,
    named_calls,
    python_calls,
    tagged_grammar,
)
from hoonify_backends.generation.tools.parsing import CallParser
from hoonify_backends.generation.tools.pythonic import PythonicParser

Call = tuple[str, Any]
"""A call of an earlier turn: the function's name and its arguments, an object unless they were broken."""


class ToolFormat(ABC):
    """One way in which models write calls."""

    name: ClassVar[str]
    markers: ClassVar[tuple[str, ...]] = ()
    """What begins a call. Where they are special tokens, the text of an answer must show them."""
    parser: ClassVar[type[CallParser]]

    def new_parser(self, offered: Collection[str], *, forced: bool) -> CallParser:
        """Return a parser for one answer."""
        return self.parser(offered, forced=forced)

    @abstractmethod
    def grammar(self, calls: Calls, grammars: Grammars) -> str:
        """Return the grammar of an answer that calls as it may or must."""

    @abstractmethod
    def write(self, calls: Sequence[Call]) -> str:
        """Return calls as the model would write them."""

    def describe(self, tools: Sequence[Any]) -> str:
        """Return what a model is told of its tools whose template does not know any."""
        listed = "\n".join(
            json.dumps(tool.get("function", tool), ensure_ascii=False) for tool in tools
        )
        example = self.write([("function_name", {"argument_name": "value"})])
        return (
            "You can call these functions, each described by a line of JSON:\n"
            f"{listed}\n"
            "To call a function, answer with nothing but the call, written like this:\n"
            f"{example}"
        )


class HermesFormat(ToolFormat):
    """JSON between tags."""

    name = "hermes"
    markers = (hermes.OPEN, hermes.CLOSE)
    parser = hermes.HermesParser

    def grammar(self, calls: Calls, grammars: Grammars) -> str:
        """Return the grammar of an answer that calls as it may or must."""
        closing = grammars.marker(hermes.CLOSE)
        rules = [f'body: "\\n" call "\\n" {closing}', *json_calls(calls, "arguments")]
        return tagged_grammar(calls, grammars, hermes.OPEN, literal("\n"), iter(rules))

    def write(self, calls: Sequence[Call]) -> str:
        """Return calls as the model would write them."""
        return "\n".join(
            f"{hermes.OPEN}\n{_object(call, 'arguments')}\n{hermes.CLOSE}" for call in calls
        )


class MistralFormat(ToolFormat):
    """A list of JSON behind a marker; models that know a marker for arguments write the name alone."""

    name = "mistral"
    markers = (mistral.CALLS, mistral.ARGUMENTS, mistral.CALL_ID)
    parser = mistral.MistralParser

    def grammar(self, calls: Calls, grammars: Grammars) -> str:
        """Return the grammar of an answer that calls as it may or must."""
        if grammars.token(mistral.ARGUMENTS) is not None:
            between = grammars.marker(mistral.ARGUMENTS)
            rules = ["body: call", *named_calls(calls, between)]
            return tagged_grammar(calls, grammars, mistral.CALLS, "", iter(rules))
        listed = calls.repeated("call", literal(", "))
        rules = [f'body: "[" {listed} "]"', *json_calls(calls, "arguments")]
        return tagged_grammar(calls, grammars, mistral.CALLS, None, iter(rules))

    def write(self, calls: Sequence[Call]) -> str:
        """Return calls as the model would write them."""
        return f"{mistral.CALLS}[{', '.join(_object(call, 'arguments') for call in calls)}]"


class JsonFormat(ToolFormat):
    """JSON as the whole answer: a format of our own for models that were never taught one."""

    name = "json"
    parser = bare.BareParser
    key: ClassVar[str] = "arguments"
    separator: ClassVar[str] = "\n"

    def grammar(self, calls: Calls, grammars: Grammars) -> str:
        """Return the grammar of an answer that calls as it may or must."""
        # Models that have a token for it may begin with it, and some do.
        tags = [f"{grammars.marker(tag)}? " for tag in self.markers if grammars.is_token(tag)]
        rules = [
            f"calls: {''.join(tags)}{calls.repeated('call', literal(self.separator))}",
            *json_calls(calls, self.key),
        ]
        return bare_grammar(calls, grammars, r"\{", self.markers, iter(rules))

    def write(self, calls: Sequence[Call]) -> str:
        """Return calls as the model would write them."""
        return self.separator.join(_object(call, self.key) for call in calls)


class Llama3Format(JsonFormat):
    """JSON with ``parameters``, with or without a tag before it."""

    name = "llama3_json"
    markers = (bare.PYTHON_TAG,)
    parser = bare.Llama3Parser
    key = "parameters"
    separator = "; "


class PythonicFormat(ToolFormat):
    """A Python list of calls."""

    name = "pythonic"
    parser = PythonicParser

    def grammar(self, calls: Calls, grammars: Grammars) -> str:
        """Return the grammar of an answer that calls as it may or must."""
        rules = [
            f'calls: "[" {calls.repeated("call", literal(", "))} "]"',
            *python_calls(calls),
        ]
        return bare_grammar(calls, grammars, r"\[", (), iter(rules))

    def write(self, calls: Sequence[Call]) -> str:
        """Return calls as the model would write them."""
        return f"[{', '.join(_python(call) for call in calls)}]"


_FORMATS: tuple[type[ToolFormat], ...] = (
    HermesFormat,
    JsonFormat,
    Llama3Format,
    MistralFormat,
    PythonicFormat,
)

FORMATS = tuple(known.name for known in _FORMATS)
"""What ``tool_parser`` may be."""


def tool_format(name: str | None) -> ToolFormat:
    """Return a format by its name; without one, the plain format that needs nothing of the model.

    Raises:
        ValueError: There is no such format.
    """
    for known in _FORMATS:
        if known.name == (name or JsonFormat.name):
            return known()
    raise ValueError(f"there is no tool parser '{name}'; there are {', '.join(FORMATS)}")


def _object(call: Call, key: str) -> str:
    name, arguments = call
    return json.dumps({"name": name, key: arguments}, ensure_ascii=False)


def _python(call: Call) -> str:
    name, arguments = call
    if isinstance(arguments, dict) and all(str(key).isidentifier() for key in arguments):
        return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
    return f"{name}(**{arguments!r})"
