"""What can be told of a JSON schema by following its references: alternatives apart, recursion without end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SCALARS = frozenset({"string", "number", "integer", "boolean", "null"})


def followed(schema: Any, targets: Mapping[str, Any]) -> Any:
    """Return what a schema leads to that is nothing but a reference."""
    for _ in range(len(targets)):
        if not isinstance(schema, dict) or set(schema) != {"$ref"}:
            break
        schema = targets[schema["$ref"]]
    return schema


def told_apart(options: list[Any]) -> bool:
    """Tell whether alternatives are objects that one required property with fixed values tells apart.

    llguidance sees this only without references, which is how every typed client writes its unions.
    """
    if not all(isinstance(option, dict) and option.get("type") == "object" for option in options):
        return False
    for name in options[0].get("properties", {}) if options else ():
        seen: set[str] = set()
        for option in options:
            values = _fixed(option, name)
            if not values or values & seen:
                break
            seen |= values
        else:
            return True
    return False


def _fixed(schema: Mapping[str, Any], name: str) -> set[str]:
    """Return the strings that a required property can be; none where it can be anything else."""
    known = schema.get("properties", {}).get(name)
    if not isinstance(known, dict) or name not in schema.get("required", ()):
        return set()
    values = [known["const"]] if "const" in known else known.get("enum", [])
    return set(values) if all(isinstance(value, str) for value in values) else set()


def ending(targets: Mapping[str, Any]) -> dict[str, bool]:
    """Return for each reference whether some finite value satisfies what it leads to."""
    known = dict.fromkeys(targets, False)
    changed = True
    while changed:
        changed = False
        for reference, schema in targets.items():
            if not known[reference] and ends(schema, known):
                known[reference] = changed = True
    return known


def ends(schema: Any, known: Mapping[str, bool]) -> bool:
    """Tell whether a finite value can satisfy a schema, as far as recursion goes."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema and not known[schema["$ref"]]:
        return False
    if not all(ends(part, known) for part in schema.get("allOf", ())):
        return False
    for key in ("anyOf", "oneOf"):
        if key in schema and not any(ends(part, known) for part in schema[key]):
            return False
    if "const" in schema or "enum" in schema:
        return True
    types = schema.get("type")
    types = {types} if isinstance(types, str) else set(types or _SCALARS)
    return (
        bool(types & _SCALARS)
        or ("object" in types and _object_ends(schema, known))
        or ("array" in types and _array_ends(schema, known))
    )


def _object_ends(schema: Mapping[str, Any], known: Mapping[str, bool]) -> bool:
    properties = schema.get("properties", {})
    required = schema.get("required", ())
    return all(ends(properties[name], known) for name in required if name in properties)


def _array_ends(schema: Mapping[str, Any], known: Mapping[str, bool]) -> bool:
    least = schema.get("minItems", 0)
    if not isinstance(least, int) or least < 1:
        return True
    items = schema.get("items", True)
    first = items if isinstance(items, list) else schema.get("prefixItems", [])
    rest = schema.get("additionalItems", True) if isinstance(items, list) else items
    needed = first[:least] + ([rest] if least > len(first) else [])
    return all(ends(item, known) for item in needed)
