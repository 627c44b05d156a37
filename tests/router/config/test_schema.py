"""The JSON Schema: what editors complete and underline."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from msgspec import Struct

from hoonify_router.config import json_schema

from .conftest import BACKENDS, GOOD, MIDDLEWARE, changed


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    """A validator of the schema with all that is installed here."""
    schema = json_schema(backend_options=BACKENDS, plugin_settings=MIDDLEWARE)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def complaints(validator: Draft202012Validator, text: str) -> list[str]:
    """Return the places that an editor would underline."""
    return sorted(error.json_path for error in validator.iter_errors(yaml.safe_load(text)))


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD + "server: {port: '${PORT}', ping_interval: 15m}\n",
        GOOD + "backends: {parrot: {load_stall: 90, options: {warm_up: 1.5h}}}\n",
        GOOD + "    created: '2025-07-21'\n    pricing: null\n",
        GOOD + "pipeline: [keys, third_party]\nplugins: {third_party: {anything: 1}}\n",
        changed("parrot", "third_party"),
        changed("    options: {model: ./polly}\n", ""),
        changed(
            "    backend: parrot\n    options: {model: ./polly}\n",
            "    homes: [{backend: remote}]\n",
        ),
    ],
)
def test_what_the_loader_may_take_is_not_underlined(
    validator: Draft202012Validator, text: str
) -> None:
    """Units, references, other people's plugins and defaults of backends are all right."""
    assert complaints(validator, text) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (GOOD + "servre: {}\n", "$"),
        (GOOD + "server: {port: 65536}\n", "$.server.port"),
        (GOOD + "server: {port: http}\n", "$.server.port"),
        (GOOD + "server: {ping_interval: 15 minutes}\n", "$.server.ping_interval"),
        (changed("provider", "provder"), "$.models.polly"),
        (changed("{model: ./polly}", "{model: ./polly, slot: 1}"), "$.models.polly.options"),
        (
            changed("{model: ./polly}", "{model: ./polly, device: gpu}"),
            "$.models.polly.options.device",
        ),
        (changed("    backend: parrot\n", ""), "$.models.polly"),
        (GOOD + "    homes: [{backend: remote}]\n", "$.models.polly"),
        (GOOD + "    start: sometimes\n", "$.models.polly.start"),
        (GOOD + "    created: yesterday\n", "$.models.polly.created"),
        (changed("polly:", "'my polly':"), "$.models"),
        (GOOD + "plugins: {keys: {stores: x}}\n", "$.plugins.keys"),
        (GOOD + "backends: {parrot: {options: {slots: 0}}}\n", "$.backends.parrot.options.slots"),
        (GOOD + "pipeline: [keys, keys]\n", "$.pipeline"),
    ],
)
def test_a_mistake_is_underlined(validator: Draft202012Validator, text: str, path: str) -> None:
    """In the very place where it stands."""
    assert path in complaints(validator, text)


def test_every_setting_is_described() -> None:
    """Whoever hovers over a key reads what it is for."""
    schema = json_schema()
    silent = [
        f"{name}.{key}"
        for name, definition in {"Config": schema, **schema["$defs"]}.items()
        for key, value in definition["properties"].items()
        if "description" not in value
        and not any("$ref" in part for part in (value, *value.get("anyOf", [])))
    ]
    assert silent == []


def test_descriptions_are_single_lines_of_plain_text() -> None:
    """Docstrings lose their line breaks and their reStructuredText."""

    def descriptions(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["description"]] if isinstance(part.get("description"), str) else []
            return own + [text for value in part.values() for text in descriptions(value)]
        return (
            [text for value in part for text in descriptions(value)]
            if isinstance(part, list)
            else []
        )

    found = descriptions(json_schema(backend_options=BACKENDS))
    assert found
    assert not [text for text in found if "\n" in text or "``" in text or "  " in text]


def test_structs_of_one_name_do_not_hide_each_other() -> None:
    """Two backends may both call their Struct Options."""

    def options(field: str) -> type[Struct]:
        return type(
            "Options", (Struct,), {"__annotations__": {field: int}}, forbid_unknown_fields=True
        )

    first, second = options("left"), options("right")
    first.__module__, second.__module__ = "one", "two"
    schema = json_schema(backend_options={"one": first, "two": second})
    text = json.dumps(schema["$defs"])
    assert '"left"' in text
    assert '"right"' in text
    validator = Draft202012Validator(schema)
    assert (
        complaints(validator, changed("parrot", "one").replace("model: ./polly", "left: 1")) == []
    )
    assert (
        complaints(validator, changed("parrot", "two").replace("model: ./polly", "left: 1")) != []
    )


def test_it_is_the_same_every_time() -> None:
    """The committed file changes only when the Structs do."""
    again = json_schema(
        backend_options=dict(reversed(BACKENDS.items())),
        plugin_settings=dict(reversed(MIDDLEWARE.items())),
    )
    assert json.dumps(again) == json.dumps(
        json_schema(backend_options=BACKENDS, plugin_settings=MIDDLEWARE)
    )


def test_settings_go_with_the_balancer_that_is_named() -> None:
    """As options go with their backend; a third party's are not underlined."""
    schema = json_schema(backend_options=BACKENDS, balancer_settings={"moody": Strict})
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    balance = schema["$defs"]["ModelConfig"]["properties"]["balance"]
    assert balance["examples"] == ["round_robin", "moody"]
    for lines, path in (
        ("    balance: moody\n    balance_options: {a: 1}\n", None),
        ("    balance: moody\n", None),
        ("    balance: theirs\n    balance_options: {b: 1}\n", None),
        ("    balance: moody\n    balance_options: {b: 1}\n", "$.models.polly.balance_options"),
        ("    fallback: [a, a]\n", "$.models.polly.fallback"),
        ("    attempts: 11\n", "$.models.polly.attempts"),
    ):
        assert complaints(validator, GOOD + lines) == ([path] if path else [])


class Strict(Struct, forbid_unknown_fields=True):
    """Settings of a balancer."""

    a: int = 0
