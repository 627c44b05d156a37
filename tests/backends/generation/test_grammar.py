"""Constraints: whatever a model would say, what it says follows the schema, token by token."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema
import numpy as np
import pytest
from tests.backends.generation.vocabularies import byte_level, sentence_piece
from tokenizers import AddedToken, Tokenizer

from hoonify_backends.generation.grammar import Grammars, explain, json_rule
from hoonify_backends.generation.schema import read_schema
from hoonify_router.errors import InvalidRequest, Unsupported

END = 1  # <|end|> of the shipped tokenizer
SCHEMAS: dict[str, dict[str, Any]] = {
    "any object": {"type": "object"},
    "nested": {
        "type": "object",
        "properties": {
            "person": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 8},
                    "address": {
                        "type": "object",
                        "properties": {"zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
                        "required": ["zip"],
                        "additionalProperties": False,
                    },
                },
                "required": ["name", "address"],
                "additionalProperties": False,
            }
        },
        "required": ["person"],
        "additionalProperties": False,
    },
    "enum": {"enum": ["red", "gr\"een'", 3, None, True, 2.5, ["a", {"b": 1}]]},
    "const": {"const": {"kind": "x", "values": [1, 2]}},
    "array": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    "tuple": {"type": "array", "prefixItems": [{"type": "null"}, {"const": "b"}], "items": False},
    "integer": {"type": "integer", "minimum": -7, "exclusiveMaximum": 12},
    "number": {"type": "number", "minimum": 0.5, "maximum": 2.25},
    "multiple": {"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 100},
    "length": {"type": "string", "minLength": 3, "maxLength": 5},
    "pattern": {"type": "string", "pattern": "^(ab|cd){2,3}x?$"},
    "date": {"type": "string", "format": "date"},
    "uuid": {"type": "string", "format": "uuid"},
    "ipv4": {"type": "string", "format": "ipv4"},
    "any of": {"anyOf": [{"type": "integer", "maximum": 99, "minimum": 0}, {"const": "none"}]},
    "types": {"type": ["boolean", "null"]},
    "reference": {
        "$defs": {"color": {"enum": ["red", "blue"]}},
        "type": "array",
        "items": {"$ref": "#/$defs/color"},
        "minItems": 1,
        "maxItems": 3,
    },
    "recursion": {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "value": {"enum": [1, 2]},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["value", "next"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/node",
    },
    "optional": {
        "type": "object",
        "properties": {"a": {"enum": [1]}, "b": {"enum": [2]}, "c": {"enum": [3]}},
        "required": ["b"],
        "additionalProperties": False,
    },
    "additional": {
        "type": "object",
        "properties": {"a": {"enum": [1]}},
        "additionalProperties": {"type": "boolean"},
        "maxProperties": 3,
        "required": ["a"],
    },
    "patterns": {
        "type": "object",
        "patternProperties": {"^n_[a-z]{1,3}$": {"enum": [1, 2]}},
        "additionalProperties": False,
        "maxProperties": 2,
    },
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]},
            {"properties": {"b": {"enum": ["x"]}}, "required": ["b"]},
        ],
        "additionalProperties": False,
        "properties": {"a": True, "b": True},
    },
    "one of, told apart": {
        "$defs": {
            "cat": {
                "type": "object",
                "properties": {"kind": {"const": "cat"}, "lives": {"enum": [9]}},
                "required": ["kind", "lives"],
                "additionalProperties": False,
            },
            "dog": {
                "type": "object",
                "properties": {"kind": {"const": "dog"}},
                "required": ["kind"],
                "additionalProperties": False,
            },
        },
        "oneOf": [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}],
        "discriminator": {"propertyName": "kind"},
    },
    "an old draft": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 3, "exclusiveMinimum": True}},
        "required": ["n"],
        "additionalProperties": False,
        "maxProperties": 1,
    },
}
ENDLESS = {"any object"}  # random scores seldom end a string by themselves


@pytest.fixture(scope="module")
def grammars(tokenizer: Any) -> Grammars:
    return Grammars(tokenizer, tokenizer.get_vocab_size(), frozenset({END}))


def compiled(grammars: Grammars, schema: dict[str, Any]) -> Any:
    return grammars.constraint(f"start: {json_rule(read_schema(schema, 'schema'))}", "schema")


def spoken(
    tokenizer: Any, constraint: Any, choose: Callable[[Any], int], size: int, limit: int = 600
) -> str | None:
    """Return what a model with random scores says; None where it does not come to an end."""
    scores = np.random.default_rng(limit)
    tokens: list[int] = []
    for _ in range(limit):
        logits = scores.standard_normal(size).astype(np.float32)
        constraint.apply(logits)
        token = choose(logits)
        assert np.isfinite(logits[token]), tokenizer.decode(tokens)
        constraint.saw(token)
        if token == END:
            return str(tokenizer.decode(tokens))
        tokens.append(token)
    return None


def drawn(random: np.random.Generator) -> Callable[[Any], int]:
    def choose(logits: Any) -> int:
        weights = np.exp(logits.astype(np.float64))
        return int(random.choice(len(weights), p=weights / weights.sum()))

    return choose


@pytest.mark.parametrize("name", SCHEMAS)
def test_whatever_is_chosen_satisfies_the_schema(
    name: str, grammars: Grammars, tokenizer: Any
) -> None:
    """Greedy choices and drawn ones, of scores that know nothing of JSON."""
    schema = SCHEMAS[name]
    validator = jsonschema.validators.validator_for(schema)(
        schema, format_checker=jsonschema.FormatChecker()
    )
    choices: list[Callable[[Any], int]] = [lambda logits: int(logits.argmax())]
    choices += [drawn(np.random.default_rng(seed)) for seed in range(8)]
    ended = 0
    for choose in choices:
        text = spoken(tokenizer, compiled(grammars, schema), choose, grammars.vocabulary)
        if text is None:
            assert name in ENDLESS
            continue
        ended += 1
        validator.validate(json.loads(text))
    assert ended or name in ENDLESS


@pytest.mark.parametrize("make", [byte_level, sentence_piece])
def test_vocabularies_of_either_kind(make: Callable[[], Tokenizer]) -> None:
    """Bytes and blanks are written in different ways, and the text is the same."""
    tokenizer = make()
    size = tokenizer.get_vocab_size()
    end = tokenizer.token_to_id("<|end|>") or tokenizer.token_to_id("<s>")
    grammars = Grammars(tokenizer, size, frozenset({end}))
    schema = {"type": "array", "items": {"enum": ["a b", "é日", 1]}, "minItems": 1, "maxItems": 3}
    for seed in range(4):
        scores = np.random.default_rng(seed)
        constraint, tokens = compiled(grammars, schema), []
        while end not in tokens:
            logits = scores.standard_normal(size).astype(np.float32)
            constraint.apply(logits)
            tokens.append(int(logits.argmax()))
            assert np.isfinite(logits[tokens[-1]])
            constraint.saw(tokens[-1])
        jsonschema.validate(json.loads(tokenizer.decode(tokens[:-1])), schema)


def test_a_model_that_loops_on_blanks_gets_no_further(grammars: Grammars, tokenizer: Any) -> None:
    """Between two parts of an object there is room for a new line and its indentation only."""
    blank = {tokenizer.token_to_id(name) for name in ("Ġ", "Ċ")} - {None}
    assert blank

    def choose(logits: Any) -> int:
        for token in blank:
            if np.isfinite(logits[token]):
                return int(token)
        return int(logits.argmax())

    text = spoken(tokenizer, compiled(grammars, SCHEMAS["optional"]), choose, grammars.vocabulary)
    assert text is not None
    assert len(text) < 200
    assert json.loads(text)["b"] == 2


def test_names_do_not_hide_behind_escapes(grammars: Grammars) -> None:
    """A property's name could be written with an escape and come a second time, with any value."""
    matcher = compiled(grammars, SCHEMAS["additional"])._matcher
    read = matcher.deep_copy()
    tokens = grammars._library.tokenize_str('{"a":1,"b":true}')
    assert read.validate_tokens(tokens) == len(tokens)
    tokens = grammars._library.tokenize_str('{"a":1,"\\u0061":true}')
    assert read.validate_tokens(tokens) < len(tokens)


@pytest.mark.parametrize(
    ("schema", "fits", "fails"),
    [
        (
            {"format": "date"},
            ["2024-02-29", "2000-02-29", "2023-02-28"],
            ["2023-02-29", "1900-02-29"],
        ),
        (
            {"format": "date"},
            ["0001-01-01", "9999-12-31"],
            ["0000-01-01", "2023-04-31", "2023-13-01"],
        ),
        ({"format": "time"}, ["23:59:59Z", "00:00:00.123456-05:30"], ["23:59:60Z", "24:00:00Z"]),
        (
            {"format": "date-time", "pattern": "Z$"},
            ["2024-02-29T12:00:00Z"],
            ["2024-02-29T12:00:00+01:00", "2023-02-29T12:00:00Z", "2024-02-29 12:00:00Z"],
        ),
    ],
)
def test_dates_are_such_as_every_reader_takes(
    schema: dict[str, Any], fits: list[str], fails: list[str], grammars: Grammars
) -> None:
    """Neither leap seconds nor days that there never were."""
    whole = {"type": "string", **schema}
    for text in [*fits, *fails]:
        tokens = [*compiled_tokens(grammars, whole, json.dumps(text)), END]
        read = compiled(grammars, whole)._matcher
        assert (read.validate_tokens(tokens) == len(tokens)) is (text in fits)


def compiled_tokens(grammars: Grammars, schema: dict[str, Any], text: str) -> list[int]:
    compiled(grammars, schema)  # the library's tokenizer is there then
    return list(grammars._library.tokenize_str(text))


def test_tokens_that_only_pad_the_vocabulary_are_never_allowed(tokenizer: Any) -> None:
    """A model may have more scores than its tokenizer has tokens, or fewer."""
    size = tokenizer.get_vocab_size()
    for scores in (size + 37, size - 5):
        grammars = Grammars(tokenizer, scores, frozenset({END}))
        logits = np.zeros(scores, np.float32)
        compiled(grammars, SCHEMAS["integer"]).apply(logits)
        assert np.isfinite(logits).any()
        assert not np.isfinite(logits[size:]).any()


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 3, "maximum": 1}, "no value can satisfy it"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "no value can satisfy it"),
        ({"enum": []}, "no value can satisfy it"),
        ({"type": "string", "pattern": "^a$", "minLength": 5}, "no value can satisfy it"),
        ({"type": "string", "pattern": "("}, r"the regular expression '\(' cannot be used"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-ahead"),
        ({"type": "strin"}, "Invalid type: strin"),
        ({"type": "string", "minLength": -1}, "minLength"),
        ({"oneOf": [{"type": "string"}, {"minLength": 3}]}, "certain to exclude each other"),
        (
            {"type": "object", "properties": {"a": True}, "minProperties": 1, "required": ["b"]}
            | {"additionalProperties": False},
            "no value can satisfy it",
        ),
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused(
    schema: dict[str, Any], words: str, grammars: Grammars
) -> None:
    """With the library's reason in plain words, and nothing of its insides."""
    with pytest.raises(InvalidRequest, match=words) as caught:
        compiled(grammars, schema)
    assert (caught.value.status, caught.value.param) == (400, "schema")
    assert "<state>" not in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"anyOf": [{"required": [f"{i}_{j}"]} for j in range(4)]} for i in range(7)]},
        {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(1900)}},
        {"type": "array", "items": {"type": "integer"}, "maxItems": 10**7},
        {"type": "string", "maxLength": 10**6},
        {"type": "string", "pattern": "(x{1,1000}){1,1000}"},
        {"type": "string", "pattern": ".*a.{20}"},
        {"type": "integer", "multipleOf": 9973},
    ],
)
def test_the_work_for_a_schema_is_bounded(schema: dict[str, Any], grammars: Grammars) -> None:
    """A costly one is compiled in little time or refused; it never holds the engine up for long."""
    started = time.process_time()
    try:
        constraint = compiled(grammars, schema)
        constraint.apply(np.zeros(grammars.vocabulary, np.float32))
    except InvalidRequest:
        pass
    assert time.process_time() - started < 5  # tenths of a second, on a machine that is not busy


def test_a_token_that_does_not_fit_fails_the_request(grammars: Grammars) -> None:
    """The answer would be nothing that was asked for: it ends with an error, not as if it were one."""
    constraint = compiled(grammars, SCHEMAS["integer"])
    constraint.saw(grammars._library.tokenize_str("x")[0])
    with pytest.raises(InvalidRequest, match="any further") as caught:
        constraint.apply(np.zeros(grammars.vocabulary, np.float32))
    assert caught.value.param == "schema"


def test_answers_do_not_share_their_place(grammars: Grammars) -> None:
    """Two constraints of one grammar, as for two choices, go their own ways."""
    first, second = (compiled(grammars, SCHEMAS["enum"]) for _ in range(2))
    fresh = np.zeros(grammars.vocabulary, np.float32)
    compiled(grammars, SCHEMAS["enum"]).apply(fresh)
    for token in grammars._library.tokenize_str("nu"):
        first.saw(token)
    other = np.zeros(grammars.vocabulary, np.float32)
    second.apply(other)
    assert (np.isfinite(other) == np.isfinite(fresh)).all()


def test_equal_grammars_are_compiled_once(tokenizer: Any) -> None:
    """Most clients send the same schema with every request; how many are kept is bounded."""
    grammars = Grammars(tokenizer, tokenizer.get_vocab_size(), frozenset({END}))
    for _ in range(3):
        compiled(grammars, SCHEMAS["date"])
    assert len(grammars._compiled) == 1
    for number in range(100):
        compiled(grammars, {"const": number})
    assert len(grammars._compiled) <= 32
    for number in range(3):
        compiled(grammars, {"enum": [f"{number} {filler}" for filler in range(9000)]})
    assert len(grammars._compiled) == 2  # of those that are long, fewer


def test_requests_may_be_read_at_the_same_time(tokenizer: Any) -> None:
    """In several threads, with equal grammars and with others."""
    grammars = Grammars(tokenizer, tokenizer.get_vocab_size(), frozenset({END}))

    def work(number: int) -> None:
        for turn in range(40):
            constraint = compiled(grammars, {"const": turn % (number + 2)})
            for _ in range(2):
                logits = np.zeros(grammars.vocabulary, np.float32)
                constraint.apply(logits)
                constraint.saw(int(logits.argmax()))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_a_tokenizer_that_cannot_be_read_is_told() -> None:
    """Not as a failure of the engine, but as something that this model does not have."""
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    with pytest.raises(Unsupported) as caught:
        compiled(Grammars(tokenizer, 2, frozenset({1})), {"type": "object"})
    assert caught.value.param == "schema"


def test_an_answer_without_an_end_cannot_be_held_to_a_grammar(tokenizer: Any) -> None:
    """A model without a token that ends its answers would go on behind its JSON."""
    with pytest.raises(Unsupported):
        compiled(Grammars(tokenizer, 1280, frozenset()), {"type": "object"})


def test_markers_are_tokens_where_the_model_has_them(model_path: Any) -> None:
    """What is no text to the library is named by its number; anything else by its spelling."""
    tokenizer = Tokenizer.from_file(str(model_path / "tokenizer.json"))
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False), "plain_word"])
    tokenizer.add_special_tokens([AddedToken("[TOOL_CALLS]", normalized=False, special=True)])
    grammars = Grammars(tokenizer, 1283, frozenset({END}))
    assert grammars.marker("<tool_call>") == "<[1280]>"
    assert grammars.marker("[TOOL_CALLS]") == "<[1282]>"
    assert grammars.marker("plain_word") == '"plain_word"'
    assert grammars.marker("<other>") == '"<other>"'
    others = grammars.others(frozenset({"<tool_call>"}))
    assert others == "<[0,2,3,4,5,1282]>"


@pytest.mark.parametrize(
    ("error", "plain"),
    [
        ('Unimplemented keys: ["not"]', "these keywords are not supported: 'not'."),
        ("first line\nsecond", "first line."),
        ("", "it cannot be used."),
    ],
)
def test_what_the_library_says_in_plain_words(error: str, plain: str) -> None:
    """One sentence, whatever it says."""
    assert explain(error) == plain
