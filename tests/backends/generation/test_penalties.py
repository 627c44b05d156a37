"""Penalties and biases against a reference that walks over everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.penalties import CountPenalty, RepetitionPenalty, TokenBias
from hoonify_backends.generation.sampler import choose
from hoonify_backends.generation.sampling import Sampling

VOCABULARY = 40
TOKENS = st.lists(st.integers(0, VOCABULARY - 1), max_size=60)
PENALTIES = st.floats(-2, 2, allow_subnormal=False)


def scores(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, VOCABULARY).astype(np.float32)


def test_seen_tokens_become_less_likely() -> None:
    """Positive scores are divided, negative ones multiplied, others stay; new tokens are added."""
    penalty = RepetitionPenalty(2.0, [1, 1, 3])
    penalty.saw(0)
    penalty.saw(0)
    row = np.array([4, 4, 4, -4], np.float32)
    penalty.apply(row)
    assert row.tolist() == [2, 2, 4, -8]


@given(answer=TOKENS, frequency=PENALTIES, presence=PENALTIES)
def test_counts_follow_openais_formula(
    answer: list[int], frequency: float, presence: float
) -> None:
    """``score - count * frequency - (count > 0) * presence`` for every token of the vocabulary."""
    penalty = CountPenalty(frequency, presence)
    for token in answer:
        penalty.saw(token)
    row = scores()
    expected = [
        score - answer.count(token) * frequency - float(answer.count(token) > 0) * presence
        for token, score in enumerate(row.tolist())
    ]
    penalty.apply(row)
    np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-4)


@given(biases=st.dictionaries(st.integers(0, VOCABULARY - 1), st.floats(-100, 100, width=32)))
def test_biases_are_added(biases: dict[int, float]) -> None:
    """To their tokens and to no other."""
    row = scores()
    expected = [score + biases.get(token, 0.0) for token, score in enumerate(row.tolist())]
    TokenBias(list(biases.items())).apply(row)
    np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-4)


@given(
    seed=st.integers(0, 1000),
    frequency=PENALTIES,
    presence=PENALTIES,
    repetition=st.floats(0.5, 2),
    biases=st.dictionaries(st.integers(0, VOCABULARY - 1), st.floats(-10, 10, width=32)),
)
def test_greedy_choices_are_those_of_the_reference(
    *,
    seed: int,
    frequency: float,
    presence: float,
    repetition: float,
    biases: dict[int, float],
) -> None:
    """All of it together, over an answer that grows; the prompt counts for the repetition penalty only."""
    prompt, answer = [1, 2, 3, 3], list[int]()
    chooser = Chooser(
        Sampling(
            temperature=0,
            repetition_penalty=repetition,
            frequency_penalty=frequency,
            presence_penalty=presence,
            logit_bias=tuple(biases.items()),
        ),
        prompt,
    )
    for step in range(12):
        row = scores(seed + step)
        expected = row.astype(np.float64)
        for token in {*prompt, *answer}:
            expected[token] *= 1 / repetition if expected[token] > 0 else repetition
        for token in set(answer):
            expected[token] -= answer.count(token) * frequency + presence
        for token, bias in biases.items():
            expected[token] += bias
        [chosen] = choose(row[None].copy(), [chooser])
        assert expected[chosen] >= expected.max() - 1e-4  # rounding may decide a tie
        answer.append(chosen)


@pytest.mark.parametrize(
    ("wishes", "count"),
    [
        ({}, 0),
        ({"repetition_penalty": 1.1}, 1),
        ({"frequency_penalty": 0.1}, 1),
        ({"presence_penalty": -0.1}, 1),
        ({"presence_penalty": 0.1, "frequency_penalty": 0.1}, 1),
        ({"logit_bias": ((1, 2.0),)}, 1),
    ],
)
def test_only_what_does_something_is_applied(wishes: dict[str, float], count: int) -> None:
    """Neutral values cost nothing."""
    assert len(Chooser(Sampling(**wishes), [1]).processors) == count  # type: ignore[arg-type]
