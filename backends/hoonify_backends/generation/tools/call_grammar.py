"""Grammars of calls: which functions with which arguments, written as a model's format has them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hoonify_backends.generation.grammar import Grammars, json_rule, literal

_KEYWORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIMPLE = frozenset(
    {"type", "properties", "required", "additionalProperties", "$defs", "definitions"}
)


@dataclass(frozen=True)
class Calls:
    """What may be called.

    Args:
        functions: Names, with the schema of each one's arguments.
        forced: Whether the answer must be calls.
        several: Whether there may be more than one.
        answer: The schema of an answer that is no call; ``None`` is free text.
    """

    functions: Sequence[tuple[str, Mapping[str, Any]]]
    forced: bool
    several: bool
    answer: Mapping[str, Any] | None = None

    def repeated(self, rule: str, separator: str) -> str:
        """Return the grammar of one ``rule`` or, if there may be, several."""
        return f"{rule} ({separator} {rule})*" if self.several else rule


def json_calls(calls: Calls, key: str) -> Iterator[str]:
    """Yield the rules that make up ``call``: a JSON object with the name and, as ``key``, the arguments."""
    yield from _any_call(calls)
    for number, (name, schema) in enumerate(calls.functions):
        head = f'{{"name": {json.dumps(name)}, "{key}": '
        yield f'call_{number}: {literal(head)} arguments_{number} "}}"'
        yield f"arguments_{number}: {json_rule(schema)}"


def named_calls(calls: Calls, between: str) -> Iterator[str]:
    """Yield the rules that make up ``call``: the name, a marker, the arguments."""
    yield from _any_call(calls)
    for number, (name, schema) in enumerate(calls.functions):
        yield f"call_{number}: {literal(name)} {between} arguments_{number}"
        yield f"arguments_{number}: {json_rule(schema)}"


def python_calls(calls: Calls) -> Iterator[str]:
    """Yield the rules that make up ``call``: Python's way of calling, with values as JSON."""
    yield from _any_call(calls)
    for number, (name, schema) in enumerate(calls.functions):
        yield f'call_{number}: {literal(name + "(")} arguments_{number} ")"'
        if _is_simple(schema):
            yield from _keywords(schema, f"arguments_{number}")
        else:
            yield f'arguments_{number}: "**" unpacked_{number}'
            yield f"unpacked_{number}: {json_rule(schema)}"


def tagged_grammar(
    calls: Calls, grammars: Grammars, marker: str, separator: str | None, rules: Iterator[str]
) -> str:
    """Return the grammar of an answer whose calls stand behind a marker, after any text.

    Args:
        calls: What may be called.
        grammars: They know which markers are tokens of their own.
        marker: What begins a call.
        separator: Grammar between one marked part and the next; ``None`` where there is one part only.
        rules: They define ``body``, all that follows the marker.
    """
    opening = grammars.marker(marker)
    more = f" ({separator} {opening} body)*" if calls.several and separator is not None else ""
    lines = list(rules)
    if calls.forced:
        start = f"{opening} body{more}"
    elif calls.answer is not None:
        start = f"{opening} body{more} | answer"
        lines.append(f"answer: {json_rule(calls.answer)}")
    elif grammars.is_token(marker):
        start = f"text {opening} body{more} | text"
        lines += _text(grammars, marker)
    else:
        # A marker that is plain text ends the text before it; only a lazy rule sees where it begins.
        start = f"head body{more} | TEXT"
        lines += [f"head[lazy]: /(?s:.*)/ {literal(marker)}", "TEXT: /(?s:.*)/"]
    return "\n".join((f"start: {start}", *lines))


def bare_grammar(
    calls: Calls, grammars: Grammars, first: str, markers: Sequence[str], rules: Iterator[str]
) -> str:
    """Return the grammar of an answer that is either calls or text.

    Args:
        calls: What may be called.
        grammars: They know which markers are tokens of their own.
        first: Regular expression of the character that begins calls, and so cannot begin a text.
        markers: What else begins calls, and so cannot be in a text.
        rules: They define ``calls``.
    """
    lines = list(rules)
    if calls.forced:
        start = "calls"
    elif calls.answer is not None:
        start = "calls | answer"
        lines.append(f"answer: {json_rule(calls.answer)}")
    else:
        start = "calls | TEXT"
        excluded = [rf"[ \t\r\n]*{first}(?s:.*)"]
        excluded += [f"(?s:.*){_escaped(marker)}(?s:.*)" for marker in markers]
        lines.append("TEXT: /(?s:.*)/" + "".join(f" & ~/{one}/" for one in excluded))
    return "\n".join((f"start: {start}", *lines))


def _text(grammars: Grammars, marker: str) -> list[str]:
    """Return the rules of text, with other special tokens in it, that does not spell the marker."""
    terminal = f"TEXT: /(?s:.+)/ & ~/(?s:.*){_escaped(marker)}(?s:.*)/"
    others = grammars.others(frozenset((marker,)))
    if others is None:
        return ["text: TEXT?", terminal]
    return ["text: TEXT? (other TEXT?)*", f"other: {others}", terminal]


def _escaped(text: str) -> str:
    return re.escape(text).replace("/", r"\/")


def _any_call(calls: Calls) -> Iterator[str]:
    yield "call: " + " | ".join(f"call_{number}" for number in range(len(calls.functions)))


def _is_simple(schema: Mapping[str, Any]) -> bool:
    """Tell whether each argument can stand by itself."""
    properties = schema.get("properties", {})
    return (
        schema.get("type") == "object"
        and _SIMPLE.issuperset(schema)
        and set(schema.get("required", ())) <= set(properties)
        and all(_KEYWORD.fullmatch(name) for name in properties)
        and all(
            reference.startswith(("#/$defs/", "#/definitions/"))
            for reference in _references(schema)
        )
    )


def _references(schema: Any) -> Iterator[str]:
    """Yield all references in a schema; in values too, where they do no harm."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _keywords(schema: Mapping[str, Any], rule: str) -> Iterator[str]:
    """Yield the rules of keyword arguments in the schema's order, those that need not be there too."""
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    required = set(schema.get("required", ()))
    names = [
        name
        for name, inner in schema.get("properties", {}).items()
        if inner is not False or name in required
    ]
    last = len(names)
    yield f"{rule}: {rule}_first_0"
    for place, name in enumerate(names):
        inner = schema["properties"][name]
        item = f"{rule}_item_{place}"
        first = f"{item} {rule}_rest_{place + 1}"
        rest = f'", " {item} {rule}_rest_{place + 1}'
        if name not in required:
            first += f" | {rule}_first_{place + 1}"
            rest += f" | {rule}_rest_{place + 1}"
        yield f"{rule}_first_{place}: {first}"
        yield f"{rule}_rest_{place}: {rest}"
        yield f"{item}: {literal(name + '=')} {item}_value"
        whole = inner if isinstance(inner, dict) else {}
        if inner is False:
            whole = {"enum": []}  # what the library refuses as never true
        yield f"{item}_value: {json_rule({**whole, **shared})}"
    yield f'{rule}_first_{last}: ""'
    yield f'{rule}_rest_{last}: ""'
