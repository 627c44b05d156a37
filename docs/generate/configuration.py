"""Tables of what the configuration, backends and plugins may be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hoonify_router.config import json_schema
from hoonify_router.loader import load_plugins

SECTIONS = {
    "": "The whole file",
    "ServerConfig": "`server:`",
    "ModelConfig": "`models: ID:`",
    "HomeConfig": "`models: ID: homes:`",
    "ShadowConfig": "`models: ID: shadow:`",
    "Pricing": "`models: ID: pricing:`",
    "BackendDefaults": "`backends: NAME:`",
}


def configuration_tables() -> str:
    """Return a table of keys per structure of the file."""
    schema = json_schema()
    return "\n\n".join(
        f"### {heading}\n\n{part['description']}\n\n{_keys(part, schema['$defs'])}"
        for name, heading in SECTIONS.items()
        for part in [schema["$defs"][name] if name else schema]
    )


def options_table(backend: str) -> str:
    """Return the table of the keys that a built-in backend's ``options:`` may have."""
    return _struct_table(load_plugins().backends[backend].options)


def settings_table(plugin: str) -> str:
    """Return the table of a built-in plugin's settings."""
    return _struct_table(load_plugins().middleware[plugin].settings)


def balancer_table(name: str) -> str:
    """Return the table of a built-in balancer's ``balance_options:``."""
    return _struct_table(load_plugins().balancers[name].settings)


def _struct_table(struct: type[Any]) -> str:
    definitions = json_schema(plugin_settings={"it": struct})["$defs"]
    return _keys(definitions[struct.__name__], definitions)


def _keys(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|", *_rows(schema, definitions)]
    return "\n".join(rows) if len(rows) > 2 else "There is nothing to set."


def _rows(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str = ""
) -> Iterator[str]:
    required = schema.get("required", [])
    for key, value in schema["properties"].items():
        inner = _name(value)
        if inner and inner not in SECTIONS:
            yield from _rows(definitions[inner], definitions, f"{prefix}{key}.")
            continue
        default = "required" if key in required else _default(value)
        meaning = _meaning(value, definitions).replace("|", "\\|")
        yield f"| `{prefix}{key}` | {_kind(value)} | {default} | {meaning} |"
        item = _name(value.get("items", {}))
        if item and item not in SECTIONS:
            yield from _rows(definitions[item], definitions, f"{prefix}{key}[].")


def _name(schema: Mapping[str, Any]) -> str:
    """Return the name of the structure that a field holds, if it holds one."""
    for one in [schema, *schema.get("anyOf", [])]:
        if "$ref" in one:
            return str(one["$ref"]).rpartition("/")[2]
    return ""


def _meaning(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return a field's own description, or that of the structure that it holds."""
    if name := _name(schema):
        schema = {"description": definitions[name].get("description", ""), **schema}
    return str(schema.get("description", ""))


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return SECTIONS.get(_name(schema), "mapping")
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "(ms|s|m|h|d)" in schema.get("pattern", ""):
        return "duration"
    if "(B|kB|" in schema.get("pattern", ""):
        return "size"
    kinds = schema.get("type", "anything")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"mapping to {_kind(schema['additionalProperties'])}"
    names = {"object": "mapping", "integer": "integer", "boolean": "`true` or `false`"}
    return names.get(kind, kind) + _limits(schema)


def _limits(schema: Mapping[str, Any]) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", {'over' if 'exclusiveMinimum' in schema else 'at least'} {low}"
    return f", at most {high}" if high is not None else ""


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    if default is None or default in ("", [], {}):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}s`" if _kind(schema) == "duration" else f"`{default}`"
