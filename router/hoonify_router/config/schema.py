"""The JSON Schema of the configuration, for editors that complete and check YAML while it is written.

It is made from the same Structs as the checks. Where it cannot be as exact as the loader (names of third
parties' plugins, options that a backend's defaults supply), it allows more. It allows less in one thing: a
choice such as ``start`` must be written out, not taken from the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from hoonify_router.config.model import (
    MAX_MODEL_ID,
    MODEL_ID,
    ROUND_ROBIN,
    Config,
    HomeConfig,
    ModelConfig,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = "#/$defs/{name}"


def json_schema(
    *,
    backend_options: Mapping[str, type[Struct]] | None = None,
    plugin_settings: Mapping[str, type[Struct]] | None = None,
    balancer_settings: Mapping[str, type[Struct]] | None = None,
) -> dict[str, Any]:
    """Return the schema of ``router.yaml``.

    Args:
        backend_options: Options Struct of each backend that editors shall know.
        plugin_settings: Settings Struct of each middleware plugin that editors shall know.
        balancer_settings: Settings Struct of each balancer that editors shall know.
    """
    backends = dict(sorted((backend_options or {}).items()))
    plugins = dict(sorted((plugin_settings or {}).items()))
    balancers = dict(sorted((balancer_settings or {}).items()))
    extra = [*backends.values(), *plugins.values(), *balancers.values()]
    types = [Config, ModelConfig, HomeConfig, *extra]
    references, definitions = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    _tidy(definitions)
    root, model, home = (definitions[_name(reference)] for reference in references[:3])
    rest = iter(references[3:])
    backend_references = dict(zip(backends, rest, strict=False))
    plugin_references = dict(zip(plugins, rest, strict=False))
    balancer_references = dict(zip(balancers, rest, strict=False))
    for reference in backend_references.values():
        definitions[_name(reference)].pop("required", None)  # the backend's defaults may have them
    model["oneOf"] = [{"required": ["backend"]}, {"required": ["homes"]}]
    for holder in (model, home):
        _add_options(holder, backend_references)
    _add_balancers(model, balancer_references)
    _add_names(root["properties"], backend_references, plugin_references)
    del definitions[_name(references[0])]
    title = {"$schema": DIALECT, "title": "Configuration of Hoonify Router"}
    return {
        **title,
        **{k: v for k, v in root.items() if k != "title"},
        "$defs": dict(sorted(definitions.items())),
    }


def _name(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _add_options(holder: dict[str, Any], backends: Mapping[str, Any]) -> None:
    """Say which options go with which backend."""
    if not backends:
        return
    holder["properties"]["backend"]["examples"] = list(backends)
    holder["allOf"] = [
        {
            "if": {"properties": {"backend": {"const": name}}, "required": ["backend"]},
            "then": {"properties": {"options": reference}},
        }
        for name, reference in backends.items()
    ]


def _add_balancers(model: dict[str, Any], balancers: Mapping[str, Any]) -> None:
    """Say which settings go with which way to choose a home."""
    model["properties"]["balance"]["examples"] = [ROUND_ROBIN, *balancers]
    model["properties"]["fallback"]["uniqueItems"] = True
    if balancers:
        model.setdefault("allOf", []).extend(
            {
                "if": {"properties": {"balance": {"const": name}}, "required": ["balance"]},
                "then": {"properties": {"balance_options": reference}},
            }
            for name, reference in balancers.items()
        )


def _add_names(
    properties: dict[str, Any], backends: Mapping[str, Any], plugins: Mapping[str, Any]
) -> None:
    """Say what is installed; other names stay allowed, for a plugin that was added later."""
    properties["models"]["propertyNames"] = {"pattern": f"^{MODEL_ID}$", "maxLength": MAX_MODEL_ID}
    properties["pipeline"]["uniqueItems"] = True
    if plugins:
        properties["pipeline"]["items"]["examples"] = list(plugins)
        properties["plugins"]["properties"] = dict(plugins)
    if backends:
        defaults = properties["backends"]
        defaults["properties"] = {
            name: {
                "allOf": [defaults["additionalProperties"], {"properties": {"options": reference}}]
            }
            for name, reference in backends.items()
        }


def _tidy(schema: Any) -> None:
    """Put docstrings onto single lines, and let numbers be filled in from the environment."""
    if isinstance(schema, list):
        for item in schema:
            _tidy(item)
    if not isinstance(schema, dict):
        return
    for value in schema.values():
        _tidy(value)
    if isinstance(text := schema.get("description"), str):
        schema["description"] = " ".join(text.replace("``", "`").split())
    if schema.get("required") == []:
        del schema["required"]
    if schema.get("type") in ("integer", "number", "boolean"):
        patterns = [schema["pattern"]] if "pattern" in schema else []
        schema["type"] = [schema["type"], "string"]
        schema["pattern"] = "|".join([*patterns, r"\$\{"])
