"""Schemas of every make: each is refused, or all that is said under it satisfies it."""

from __future__ import annotations

import datetime
import enum
import json
import uuid
from typing import Annotated, Any, Literal

import jsonschema
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field
from tests.thoroughness import examples

from hoonify_backends.generation.grammar import Grammars, json_rule
from hoonify_backends.generation.schema import read_schema
from hoonify_router.errors import InvalidRequest

END = 1  # <|end|> of the shipped tokenizer
VALUES = [1, 2.5, -0.5, 1.0, "a", 'x"y\n', "é", None, True, False, [], [1], {"x": {"y": [None]}}]
PATTERNS = ["^a{1,3}$", r"^[a-c]+\d?$", "^(x|yy)*$", "b$", r"^\w{1,4}$", "^[^a]{2}$", "a|^b"]
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
NAMES = ["a", "b", "c d", "é", 'quo"te']


def some(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects that have some of these fields."""
    return st.fixed_dictionaries({}, optional=strategies)


strings = some(
    minLength=st.integers(0, 4), maxLength=st.integers(0, 6), pattern=st.sampled_from(PATTERNS)
).map(lambda rest: {"type": "string", **rest})
numbers = st.tuples(
    st.sampled_from(["integer", "number"]),
    some(
        **dict.fromkeys(BOUNDS, st.integers(-20, 20) | st.sampled_from([-0.5, 0.25, 1.75])),
        multipleOf=st.sampled_from([1, 2, 7, 0.5, 0.25]),
    ),
).map(lambda pair: {"type": pair[0], **pair[1]})
fixed = st.lists(st.sampled_from(VALUES), min_size=1, max_size=4).map(lambda some: {"enum": some})
constant = st.sampled_from(VALUES).map(lambda value: {"const": value})
types = st.lists(st.sampled_from(["boolean", "null", "integer"]), min_size=1, max_size=3).map(
    lambda some: {"type": sorted(set(some))}
)


def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return schemas made of others."""
    arrays = some(
        items=inner | st.booleans(),
        prefixItems=st.lists(inner, min_size=1, max_size=2),
        minItems=st.integers(0, 2),
        maxItems=st.integers(0, 3),
    ).map(lambda rest: {"type": "array", **rest})
    objects = some(
        properties=st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        required=st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
        additionalProperties=st.just(False) | inner,
        minProperties=st.integers(0, 2),
        maxProperties=st.integers(0, 3),
    ).map(lambda rest: {"type": "object", **rest})
    joined = st.tuples(
        st.sampled_from(["anyOf", "oneOf", "allOf"]), st.lists(inner, min_size=1, max_size=3)
    ).map(lambda pair: {pair[0]: pair[1]})
    return arrays | objects | joined


schemas = st.recursive(strings | numbers | fixed | constant | types, around, max_leaves=6)


@pytest.fixture(scope="module")
def grammars(tokenizer: Any) -> Grammars:
    return Grammars(tokenizer, tokenizer.get_vocab_size(), frozenset({END}))


@settings(max_examples=examples(80), deadline=None)
@given(schema=schemas, seed=st.integers(0, 2**32))
def test_it_is_refused_or_followed(
    schema: dict[str, Any], seed: int, grammars: Grammars, tokenizer: Any
) -> None:
    """There is nothing between: no keyword is followed nearly."""
    try:
        constraint = grammars.constraint(f"start: {json_rule(read_schema(schema, 's'))}", "s")
    except InvalidRequest:
        assume(False)
    if (said := speak(constraint, seed, grammars, tokenizer)) is not None:
        jsonschema.Draft202012Validator(schema).validate(json.loads(said))


def speak(constraint: Any, seed: int, grammars: Grammars, tokenizer: Any) -> str | None:
    """Return what a model with random scores says; None where it does not come to an end."""
    random = np.random.default_rng(seed)
    tokens: list[int] = []
    while len(tokens) < 400:
        logits = random.standard_normal(grammars.vocabulary).astype(np.float32)
        logits[END] += 2
        constraint.apply(logits)
        token = int(logits.argmax())
        assert np.isfinite(logits[token])
        constraint.saw(token)
        if token == END:
            return str(tokenizer.decode(tokens))
        tokens.append(token)
    return None


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=0, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    name: Annotated[str, Field(min_length=1, max_length=4)] | None


class Tree(BaseModel):
    value: Literal[1]
    children: Annotated[list[Tree], Field(max_length=1)]


class Answer(BaseModel):
    """An answer as clients describe theirs."""

    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    pets: Annotated[list[Cat | Dog], Field(max_length=2)]
    color: Color = Color.RED
    day: datetime.date
    moment: datetime.datetime
    id: uuid.UUID
    share: float = Field(gt=0, lt=1)
    pair: tuple[int, bool]
    tree: Tree
    count: int = Field(default=5, multiple_of=5, ge=0, le=100, description="How many.")


@pytest.mark.parametrize("strict", [False, True])
def test_answers_fit_the_model_that_the_schema_was_made_of(
    strict: bool, grammars: Grammars, tokenizer: Any
) -> None:
    """With Pydantic's own schema, and as the OpenAI package makes it strict."""
    schema = to_strict_json_schema(Answer) if strict else Answer.model_json_schema()
    plain = read_schema(schema, "s")
    ended = 0
    for seed in range(12):
        constraint = grammars.constraint(f"start: {json_rule(plain)}", "s")
        if (said := speak(constraint, seed, grammars, tokenizer)) is not None:
            Answer.model_validate_json(said)
            ended += 1
    assert ended or not strict  # an object that is open to more rarely ends by chance
