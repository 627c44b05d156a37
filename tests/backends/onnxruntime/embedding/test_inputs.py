"""Requests for embeddings: what becomes tokens, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backends.onnxruntime.embedding.conftest import WORDS, Tiny
from tokenizers import Tokenizer

from hoonify_backends.onnxruntime.embedding.batcher import Job
from hoonify_backends.onnxruntime.embedding.inputs import InputReader
from hoonify_router.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    InvalidValue,
    Unsupported,
)
from hoonify_router.types import EmbeddingRequest

CLS, SEP, ZERO, ONE, TWO = 1, 2, 4, 5, 6


@pytest.fixture
def tokenizer(tiny: Tiny) -> Any:
    """The tiny model's tokenizer, as the engine loads it."""
    from pathlib import Path

    from hoonify_backends.onnxruntime.embedding.loading import read_tokenizer

    return read_tokenizer(Path(tiny().model) / "tokenizer.json")


def read(tokenizer: Any, given: Any, dimensions: int | None = None, **changes: Any) -> Job:
    facts: dict[str, Any] = {
        "prefix": "",
        "max_length": 6,
        "vocabulary": len(WORDS),
        "dimensions": 4,
        "sizes": None,
    }
    reader = InputReader(tokenizer, **{**facts, **changes})
    return reader.read(EmbeddingRequest("model", given, dimensions=dimensions))


def rows(job: Job) -> list[list[int]]:
    return [row.tolist() for row in job.inputs]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("zero one", [[CLS, ZERO, ONE, SEP]]),
        (["zero", "one two"], [[CLS, ZERO, SEP], [CLS, ONE, TWO, SEP]]),
        ([ZERO, ONE], [[ZERO, ONE]]),
        ([[ZERO], [CLS, ONE, SEP]], [[ZERO], [CLS, ONE, SEP]]),
        ([0], [[0]]),
        (" ", [[CLS, SEP]]),
    ],
)
def test_every_form_of_input(tokenizer: Any, given: Any, expected: list[list[int]]) -> None:
    """Text gets special tokens and is not cut, tokens are taken as they are."""
    job = read(tokenizer, given)
    assert rows(job) == expected
    assert job.tokens == sum(map(len, expected))


def test_the_prefix_is_for_text_only(tokenizer: Any) -> None:
    """It counts as the client's tokens do."""
    assert rows(read(tokenizer, "one", prefix="zero ")) == [[CLS, ZERO, ONE, SEP]]
    assert rows(read(tokenizer, [ONE], prefix="zero ")) == [[ONE]]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("", "input"),
        (["zero", "one", "two", ""], "input[3]"),
        ([[ZERO], []], "input[1]"),
        ([], "input"),
        ([ZERO, 10], "input[1]"),
        ([[ZERO], [ONE, -1]], "input[1][1]"),
        ([[ZERO], [2**40]], "input[1][0]"),
    ],
)
def test_impossible_inputs_are_refused_by_their_place(
    tokenizer: Any, given: Any, param: str
) -> None:
    """Nothing to read, or tokens that the model does not have."""
    with pytest.raises(InvalidValue) as caught:
        read(tokenizer, given)
    assert (caught.value.param, caught.value.status) == (param, 422)
    assert param in caught.value.message or param == "input"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("one " * 5, "input"),
        (["one", "one " * 5], "input[1]"),
        ([ONE] * 7, "input"),
        ([[ONE], [ONE] * 7], "input[1]"),
    ],
)
def test_an_input_that_is_too_long_is_refused_not_cut(
    tokenizer: Any, given: Any, param: str
) -> None:
    """With both numbers, special tokens counted."""
    with pytest.raises(ContextLengthExceeded, match=r"is 6 tokens, but .* has 7 tokens") as caught:
        read(tokenizer, given)
    assert (caught.value.param, caught.value.status) == (param, 400)


def test_an_input_may_be_as_long_as_the_model_reads(tokenizer: Any) -> None:
    """Exactly that long."""
    assert read(tokenizer, "one " * 4).tokens == 6


@pytest.mark.parametrize(
    ("sizes", "wish", "got"),
    [
        ((), 1, 1),
        ((), 3, 3),
        ((), 4, None),
        ((2, 3), 2, 2),
        ((2, 3), 4, None),
        ((2, 3), None, None),
        (None, None, None),
    ],
)
def test_dimensions_that_the_model_allows(
    tokenizer: Any, sizes: Any, wish: int | None, got: int | None
) -> None:
    """The whole size is no cut."""
    assert read(tokenizer, "one", wish, sizes=sizes).dimensions == got


@pytest.mark.parametrize(
    ("sizes", "wish", "kind", "said"),
    [
        ((), 5, InvalidValue, "between 1 and 4"),
        ((), 0, InvalidValue, "between 1 and 4"),
        ((2, 3), 1, InvalidValue, "2 or 3 or 4"),
        (None, 2, Unsupported, "always have 4 dimensions"),
        (None, 4, Unsupported, "always have 4 dimensions"),
    ],
)
def test_dimensions_that_it_does_not_allow(
    tokenizer: Any, sizes: Any, wish: int, kind: type[InvalidRequest], said: str
) -> None:
    """Refused, with what would do."""
    with pytest.raises(kind, match=said) as caught:
        read(tokenizer, "one", wish, sizes=sizes)
    assert caught.value.param == "dimensions"


def test_a_token_that_only_the_tokenizer_knows_is_refused(tokenizer: Any) -> None:
    """The model would fail on it, with all that share its call."""
    with pytest.raises(InvalidValue, match="does not know") as caught:
        read(tokenizer, ["one", "five"], vocabulary=9)
    assert caught.value.param == "input[1]"


def test_without_a_word_of_the_model_the_tokenizers_tokens_count(tokenizer: Any) -> None:
    """A folder may come without config.json."""
    assert rows(read(tokenizer, [9], vocabulary=None)) == [[9]]
    with pytest.raises(InvalidValue):
        read(tokenizer, [10], vocabulary=None)


def test_text_without_a_token_is_refused(tokenizer: Any) -> None:
    """Where a tokenizer adds no special ones, white space is nothing at all."""
    from tokenizers import processors

    bare = Tokenizer.from_str(tokenizer.to_str())
    bare.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    with pytest.raises(InvalidValue, match="no text") as caught:
        read(bare, ["one", " "])
    assert caught.value.param == "input[1]"
