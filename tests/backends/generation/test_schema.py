"""Schemas of clients: what constrains nothing is dropped, what could not be honoured is refused."""

from __future__ import annotations

import itertools
import json
from typing import Any

import jsonschema
import llguidance
import pytest

from hoonify_backends.generation.schema import read_schema
from hoonify_router.errors import InvalidRequest

NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}, "required": ["next"]}


def test_annotations_are_dropped() -> None:
    """They say nothing about the answer, wherever they stand; the order of properties stays."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://example.test/person",
        "title": "Person",
        "type": "object",
        "properties": {
            "z": {"type": "string", "description": "last", "examples": ["x"], "x-order": 1},
            "a": {"type": "integer", "default": 3, "deprecated": False, "nullable": False},
        },
        "discriminator": {"propertyName": "z"},
    }
    plain = read_schema(schema, "schema")
    assert plain == {
        "type": "object",
        "properties": {"z": {"type": "string"}, "a": {"type": "integer"}},
    }
    assert list(plain["properties"]) == ["z", "a"]
    assert schema["properties"]["z"]["description"] == "last"  # type: ignore[index]


def test_properties_may_be_called_like_keywords() -> None:
    """A property named 'not' or 'title' is no keyword."""
    schema = {"properties": {"not": {"const": 1}, "title": True, "minimun": False}}
    assert read_schema(schema, "schema") == schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        # the library would take these for annotations
        ({"minimun": 3}, "'minimun' is not known; did you mean 'minimum'"),
        ({"type": "integer", "zzz": 3}, "'zzz' is not known"),
        ({"properties": {"a": {"nullable": True}}}, "add \"null\" to 'type'"),
        ({"contentEncoding": "base64"}, "'contentEncoding' is not supported"),
        ({"x-guidance": {"lenient": True}}, "'x-guidance' is not supported"),
        ({"items": {"x-guidance": {}}}, "'x-guidance' is not supported"),
        ({"format": "unknown"}, "this format is not supported"),
        ({"items": {"$ref": "#/properties"}, "properties": {"a": {}}}, "no schema at"),
        # it says so itself, but without the place
        ({"anyOf": [{}, {"not": {}}]}, "at '/anyOf/1', the keyword 'not'"),
        ({"if": {}, "then": {}}, "'if' is not supported"),
        ({"uniqueItems": True}, "'uniqueItems' is not supported"),
        ({"properties": {"a": {"$id": "x"}}}, "'\\$id' is not supported"),
        # it would follow these only nearly
        ({"const": 2**53 + 1}, "beyond 2\\^53"),
        ({"enum": [1, {"a": [-1e17]}]}, "beyond 2\\^53"),
        ({"maximum": 1e300}, "beyond 2\\^53"),
        ({"minProperties": 2}, "only one property more"),
        # these would go on without end
        ({"$ref": "#"}, "references never end"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "references never end"),
        ({"$defs": {"n": NODE}, "$ref": "#/$defs/n"}, "references never end"),
        (
            {
                "$defs": {
                    "n": {"type": "array", "items": {"$ref": "#/$defs/m"}, "minItems": 1},
                    "m": {"anyOf": [{"$ref": "#/$defs/n"}, {"allOf": [{"$ref": "#/$defs/n"}]}]},
                },
                "$ref": "#/$defs/n",
            },
            "references never end",
        ),
        # these lead nowhere
        ({"$ref": "#/$defs/x"}, "no schema at '#/\\$defs/x'"),
        ({"$ref": "https://example.test/schema"}, "only references within"),
        ({"$ref": "#anchor"}, "only references within"),
        ({"$ref": 3}, "only references within"),
        # these are no schemas
        ({"properties": []}, "must be an object"),
        ({"anyOf": {}}, "must be an array"),
        ({"items": 3}, "an object or a boolean"),
        ({"enum": 3}, "must be an array"),
        ({"type": ["string", None]}, "must hold strings"),
        ({"required": "a"}, "must hold strings"),
        ({"multipleOf": 0}, "a number over 0"),
        ({"multipleOf": True}, "a number over 0"),
        # these cost too much
        ({"multipleOf": 999_983}, "too costly"),
        ({"multipleOf": 1e12}, "too costly"),
        ({"multipleOf": 1e-30}, "too costly"),
        ({"enum": ["x" * 300_000]}, "over 262144 characters"),
        ({"anyOf": [{} for _ in range(2001)]}, "over 2000 schemas"),
        # these cannot be written
        ({"const": {"a": "\x00"}}, "control character"),
    ],
)
def test_what_could_not_be_honoured_is_refused(schema: dict[str, Any], words: str) -> None:
    """By its place and with a reason, as a 400 of the schema."""
    with pytest.raises(InvalidRequest, match=words) as caught:
        read_schema(schema, "here")
    assert (caught.value.status, caught.value.param) == (400, "here")


@pytest.mark.parametrize("depth", [70, 5_000, 200_000])
def test_a_schema_that_is_nested_too_deep_is_refused(depth: int) -> None:
    """Before it can exhaust anyone's stack."""
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    with pytest.raises(InvalidRequest, match=r"nested over|over 262144"):
        read_schema(schema, "schema")


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"n": {**NODE, "required": []}}, "$ref": "#/$defs/n"},
        {"$defs": {"n": {**NODE, "type": ["object", "null"]}}, "$ref": "#/$defs/n"},
        {"type": "array", "items": {"$ref": "#"}},
        {"properties": {"a/b~": {"const": 1}, "c": {"$ref": "#/properties/a~1b~0"}}},
        {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}, "minItems": 1}]},
        {"items": [{"const": 1}], "minItems": 1, "additionalItems": {"$ref": "#/items/0"}},
    ],
)
def test_references_that_come_to_an_end_are_fine(schema: dict[str, Any]) -> None:
    """Recursion needs a way out, not more."""
    assert read_schema(schema, "schema") == schema


def union(*kinds: dict[str, Any]) -> dict[str, Any]:
    return {
        "oneOf": [
            {"type": "object", "properties": {"kind": kind}, "required": ["kind"]} for kind in kinds
        ]
    }


def test_alternatives_that_exclude_each_other_become_any_of() -> None:
    """The library does not see it through references; objects need one property that differs."""
    plain = read_schema(union({"const": "a"}, {"enum": ["b", "c"]}), "schema")
    assert "oneOf" not in plain
    assert len(plain["anyOf"]) == 2


@pytest.mark.parametrize(
    "schema",
    [
        union({"const": "a"}, {"enum": ["b", "a"]}),
        union({"const": "a"}, {"type": "string"}),
        union({"const": 1}, {"const": True}),
        {"oneOf": [{"type": "object"}, {"type": "string"}]},
        {**union({"const": "a"}, {"const": "b"}), "anyOf": [{}]},
        {"oneOf": []},
    ],
)
def test_alternatives_that_may_both_hold_stay_one_of(schema: dict[str, Any]) -> None:
    """The library decides about them then."""
    assert "oneOf" in read_schema(schema, "schema")


ENDS = [-2, -1.5, -1, -0.1, 0, 0.1, 0.25, 1, 1.5, 10, 10.5, 1e7, 1e7 + 0.5]
NUMBERS = ["-2", "-1.2", "-1", "-0.05", "-0", "0", "0.0", "0.05", "0.2", "1", "1.0", "1.2", "10"]


@pytest.mark.parametrize("low", ["minimum", "exclusiveMinimum"])
@pytest.mark.parametrize("high", ["maximum", "exclusiveMaximum"])
def test_numbers_stay_within_their_bounds(low: str, high: str) -> None:
    """However narrow the interval is, and whichever of its ends are left out."""
    tokenizer = llguidance.LLTokenizer("byte")
    for least, most in itertools.combinations(ENDS, 2):
        schema = {"type": "number", low: least, high: most}
        grammar = llguidance.LLMatcher.grammar_from_json_schema(read_schema(schema, "schema"))
        right = jsonschema.Draft202012Validator(schema)
        for text in [*NUMBERS, repr(least), repr(most), repr((least + most) / 2)]:
            matcher = llguidance.LLMatcher(tokenizer, grammar)
            tokens = tokenizer.tokenize_str(text)
            taken = matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()
            assert right.is_valid(json.loads(text)) or not taken, (schema, text)
            if text == repr((least + most) / 2) and high == "maximum":
                assert taken, (schema, text)
