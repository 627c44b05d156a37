"""What requests may hold: tables made from the very types that requests are checked with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, get_type_hints

import msgspec
from msgspec import Meta, Struct

from hoonify_router.types import (
    CORE_PARAMETERS,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
)

KINDS: dict[str, type[Struct]] = {
    kind.task: kind for kind in (ChatRequest, CompletionRequest, EmbeddingRequest)
}
REFERENCE = "#/components/schemas/{name}"
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})  # one limit under two names
_ENDLESS = 2**62


class Row(NamedTuple):
    """One parameter.

    Args:
        name: As it stands in a request.
        value: What it may be, in words.
        required: Whether it must be there.
        default: What holds while it is left out, where that is not plain.
        meaning: What it does.
        honoured: Whether it has an effect; ``None`` where the home decides itself.
    """

    name: str
    value: str
    required: bool
    default: str
    meaning: str
    honoured: bool | None


@cache
def schemas() -> dict[str, Any]:
    """Return the JSON Schemas of all requests and of what is inside them, by their names."""
    _, components = msgspec.json.schema_components(list(KINDS.values()), ref_template=REFERENCE)
    return {name: _plain(schema) for name, schema in components.items()}


def rows_for(task: str, honoured: frozenset[str] | None) -> list[Row]:
    """Return the parameters of one kind of request.

    Args:
        task: Which kind.
        honoured: What the home of a model honours; ``None`` where it decides itself.
    """
    kind = KINDS[task]
    schema = schemas()[kind.__name__]
    defaults, values = _noted(kind, "default"), _noted(kind, "value")
    return [
        Row(
            name,
            values.get(name) or words_for(one),
            name in schema.get("required", ()),
            defaults.get(name, ""),
            one.get("description", "").replace("``", "`"),
            _is_honoured(name, honoured),
        )
        for name, one in schema["properties"].items()
    ]


def message_rows() -> list[Row]:
    """Return the fields of a message."""
    schema = schemas()["Message"]
    return [
        Row(
            name,
            words_for(one),
            name in schema.get("required", ()),
            "",
            one.get("description", "").replace("``", "`"),
            True,
        )
        for name, one in schema["properties"].items()
    ]


def words_for(schema: Mapping[str, Any]) -> str:
    """Return what may stand in a place, in a few words."""
    several = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    words = list(dict.fromkeys(word for one in several for word in _words(one)))
    return " or ".join(words) if len(words) < 3 else ", ".join(words[:-1]) + f" or {words[-1]}"


def _words(schema: Mapping[str, Any]) -> Iterator[str]:
    kind = schema.get("type")
    if "enum" in schema:
        yield from (f"“{word}”" for word in schema["enum"])
    elif "$ref" in schema or kind == "object":
        yield "object"
    elif kind == "array":
        yield f"list of {_plural(words_for(schema.get('items', {})))}{_most(schema, 'maxItems')}"
    elif kind in ("integer", "number"):
        yield kind + _range(schema)
    elif kind == "string":
        yield "string" + _most(schema, "maxLength", " characters")
    elif kind == "boolean":
        yield "true or false"
    else:
        yield "anything"


def _plural(words: str) -> str:
    head, comma, rest = words.partition(",")
    return f"{head}s{comma}{rest}" if head in {"object", "string", "number", "integer"} else words


def _most(schema: Mapping[str, Any], name: str, things: str = "") -> str:
    return f", at most {schema[name]}{things}" if name in schema else ""


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    over = schema.get("exclusiveMinimum")
    high = None if high is None or abs(high) > _ENDLESS else high
    low = None if low is None or abs(low) > _ENDLESS else low
    if over is not None:
        return f", over {over}" + ("" if high is None else f", up to {high}")
    if low is None:
        return "" if high is None else f", at most {high}"
    return f", at least {low}" if high is None else f", {low} to {high}"


def _is_honoured(name: str, honoured: frozenset[str] | None) -> bool | None:
    if name in CORE_PARAMETERS:
        return True
    if honoured is None:
        return None
    return name in honoured or (name in _LIMITS and not honoured.isdisjoint(_LIMITS))


def _noted(kind: type[Struct], what: str) -> dict[str, str]:
    """Return what the types' annotations say of some matter, by the fields' names."""
    hints = get_type_hints(kind, include_extras=True)
    found = {}
    for own, name in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        for meta in getattr(hints[own], "__metadata__", ()):
            if isinstance(meta, Meta) and meta.extra and meta.extra.get(what):
                found[name] = str(meta.extra[what])
    return found


def _plain(schema: Any) -> Any:
    """Return a schema without Python's ways: no defaults of ``null``, no markup in descriptions."""
    if isinstance(schema, dict):
        return {
            name: value.replace("``", "`")
            if name == "description" and isinstance(value, str)
            else _plain(value)
            for name, value in schema.items()
            if not (name == "default" and value is None)
        }
    return [_plain(one) for one in schema] if isinstance(schema, list) else schema
