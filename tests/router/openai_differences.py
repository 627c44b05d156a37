"""Where OpenAI's schema of a request and our types differ, found by walking both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from hoonify_router.types import ChatRequest, Message
from hoonify_router.types.parameters import INT64
from hoonify_router.validation_hints import fields, is_struct, members, tag
from hoonify_router.validation_shapes import MESSAGE_SHAPES, SHAPES

_SHAPES: dict[type, dict[str, Any]] = {ChatRequest: SHAPES, Message: MESSAGE_SHAPES}
_BOUNDS = {
    "minimum": "ge",
    "maximum": "le",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
}
_HINTS: dict[str, tuple[Any, ...]] = {
    "string": (str,),
    "integer": (int, float),
    "number": (float,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def differences(schema: Mapping[str, Any], hint: Any, root: Mapping[str, Any]) -> set[str]:
    """Return every difference as ``path: what``; a field that is new to us is one, too.

    Args:
        schema: Theirs.
        hint: Ours.
        root: The document that ``$ref`` counts from.
    """
    return set(_compare(schema, hint, root, ""))


def _compare(theirs: Mapping[str, Any], hint: Any, root: Any, path: str) -> Iterator[str]:
    for one in alternatives(theirs, root):
        if "properties" in one:
            yield from _compare_object(one, hint, root, path)
        elif one.get("type") != "null":
            yield from _compare_value(one, hint, root, path)


def alternatives(schema: Mapping[str, Any], root: Any) -> Iterator[dict[str, Any]]:
    """Yield the simple schemas that a schema is one of, references followed."""
    if "$ref" in schema:
        found = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        yield from alternatives(found, root)
    elif several := schema.get("anyOf") or schema.get("oneOf"):
        for one in several:
            yield from alternatives(one, root)
    elif "allOf" in schema:
        joined: dict[str, Any] = {"properties": {}, "required": []}
        for one in schema["allOf"]:
            for part in alternatives(one, root):
                joined["properties"] |= part.get("properties", {})
                joined["required"] += part.get("required", [])
        yield joined
    elif isinstance(schema.get("type"), list):
        for kind in schema["type"]:
            yield {**schema, "type": kind}
    else:
        yield dict(schema)


def words(schema: Mapping[str, Any]) -> list[str]:
    """Return what a string may say, if it may not say everything."""
    return [schema["const"]] if "const" in schema else list(schema.get("enum", []))


def _compare_object(theirs: Mapping[str, Any], hint: Any, root: Any, path: str) -> Iterator[str]:
    kind = _struct_for(theirs, hint, root)
    if kind is None:
        yield f"{path}: an object of {', '.join(theirs['properties'])}"
        return
    ours, own_tag = fields(kind), tag(kind)
    for name, schema in theirs["properties"].items():
        inner = f"{path}.{name}" if path else name
        if own_tag is not None and name == own_tag[0]:
            continue
        if name not in ours:
            yield f"{inner}: unknown"
        else:
            yield from _compare(schema, _shaped(kind, name, ours[name]), root, inner)
    optional = set(kind.__struct_fields__[-len(kind.__struct_defaults__) :])
    needed = set(kind.__struct_fields__) - (optional if kind.__struct_defaults__ else set())
    yield from (f"{path}.{name}: required" for name in needed - set(theirs.get("required", [])))


def _shaped(kind: type, name: str, hint: Any) -> Any:
    """Return what a field must hold, where its own hint leaves that open: the shape, the field's limits."""
    shape = _SHAPES.get(kind, {}).get(name)
    if get_origin(shape) is not list:
        return hint if shape is None else shape
    limits = next(limits for one, limits in members(hint) if get_origin(one) is list)
    return Annotated[shape, *limits]


def _struct_for(theirs: Mapping[str, Any], hint: Any, root: Any) -> type | None:
    for one, _ in members(hint):
        if not is_struct(one):
            continue
        told = tag(one)
        if told is None:
            return one
        if told[0] in theirs["properties"]:
            [said] = alternatives(theirs["properties"][told[0]], root)
            if told[1] in words(said):
                return one
    return None


def _compare_value(theirs: Mapping[str, Any], hint: Any, root: Any, path: str) -> Iterator[str]:
    said = words(theirs)
    several = list(members(hint))
    known = [w for one, _ in several if get_origin(one) is Literal for w in get_args(one)]
    if said and known:
        if lost := set(said) - set(known):
            yield f"{path}: not {', '.join(sorted(lost))}"
        return
    if "type" not in theirs:
        return
    for one, limits in several:
        if (get_origin(one) or one) not in _HINTS[theirs["type"]]:
            continue
        for name, own in _BOUNDS.items():
            limit = next((x for meta in limits if (x := getattr(meta, own)) is not None), None)
            if limit is not None and abs(limit) >= INT64:
                limit = None
            kind = {"Items": "array", "Length": "string"}.get(name[3:], theirs["type"])
            asked = theirs.get(name)
            if asked is not None and abs(asked) >= INT64:
                asked = None
            if kind == theirs["type"] and limit != asked:
                yield f"{path}: {name} {limit} instead of {asked}"
        if theirs["type"] == "array" and "items" in theirs:
            yield from _compare(theirs["items"], get_args(one)[0], root, f"{path}[]")
        return
    if not (theirs["type"] == "string" and known):
        yield f"{path}: no {theirs['type']}"
