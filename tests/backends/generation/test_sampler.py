"""Choosing tokens: the distribution that the parameters describe, whoever shares the step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.sampler import choose
from hoonify_backends.generation.sampling import Sampling

Floats = NDArray[np.float32]


def allowed(scores: Floats, sampling: Sampling) -> NDArray[np.float64]:
    """Return the probabilities by sorting everything: slow, and easy to believe."""
    scaled = scores.astype(np.float64) / sampling.temperature
    weights = np.exp(scaled - scaled.max())
    relative = weights.copy()
    ranked = np.sort(weights)[::-1]
    if sampling.top_k:
        weights[weights < ranked[min(sampling.top_k, len(ranked)) - 1]] = 0
    ranked = np.sort(weights)[::-1]
    before = ranked.cumsum() - ranked
    weights[weights < ranked[before < sampling.top_p * ranked.sum()].min()] = 0
    weights[relative < sampling.min_p] = 0
    return weights / weights.sum()


def random_scores(rows: int, size: int, spread: float, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(0, spread, (rows, size)).astype(np.float32)


SAMPLINGS = [
    Sampling(),
    Sampling(temperature=0.4),
    Sampling(top_p=0.7),
    Sampling(top_k=5),
    Sampling(top_k=400, top_p=0.8),
    Sampling(top_k=300),
    Sampling(top_k=20, top_p=0.6, temperature=1.5),
    Sampling(min_p=0.2),
    Sampling(top_k=9, min_p=0.3),
    Sampling(top_p=0.9, min_p=0.1),
]


def test_greedy_takes_the_likeliest() -> None:
    """For every row its own."""
    scores = random_scores(5, 50, 3)
    chosen = choose(scores.copy(), [Chooser(Sampling(temperature=0), [])] * 5)
    assert chosen == scores.argmax(axis=1).tolist()


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize("size", [3, 64, 700])
def test_draws_follow_the_distribution(sampling: Sampling, size: int) -> None:
    """Frequencies of many draws agree with the probabilities, and nothing else is ever drawn."""
    scores = random_scores(1, size, 1.5)
    wanted = allowed(scores[0], sampling)
    draws = 2000
    chooser = Chooser(_seeded(sampling), [])
    chosen = choose(np.repeat(scores, draws, axis=0), [chooser] * draws)
    counts = np.bincount(chosen, minlength=size)
    assert counts[wanted == 0].sum() == 0
    # Chi-square over tokens that are expected often enough; six sigma.
    often = wanted * draws >= 5
    deviation = ((counts - wanted * draws)[often] ** 2 / (wanted * draws)[often]).sum()
    freedom = often.sum()
    assert deviation < freedom + 6 * np.sqrt(2 * freedom) + 6


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_who_shares_the_step_makes_no_difference(sampling: Sampling) -> None:
    """With a seed, a row gives the same tokens alone and among others of all kinds."""
    scores = random_scores(len(SAMPLINGS) + 1, 500, 2)
    alone, among = Chooser(_seeded(sampling), []), Chooser(_seeded(sampling), [])
    for step in range(20):
        rows = np.roll(scores, step, axis=1)
        others = [Chooser(other, []) for other in SAMPLINGS]
        assert choose(rows[:1].copy(), [alone])[0] == choose(rows.copy(), [among, *others])[0]


def _seeded(sampling: Sampling) -> Sampling:
    return Sampling(sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p, seed=11)


@settings(deadline=None)
@given(
    size=st.integers(1, 900),
    spread=st.sampled_from([0.0, 0.01, 1.0, 6.0, 40.0]),
    seed=st.integers(0, 2**32),
    temperature=st.sampled_from([0.01, 0.3, 1.0, 2.0]),
    top_p=st.floats(0.01, 1),
    top_k=st.integers(0, 1000),
    min_p=st.sampled_from([0.0, 0.05, 1.0]),
)
def test_only_allowed_tokens_are_drawn(
    *,
    size: int,
    spread: float,
    seed: int,
    temperature: float,
    top_p: float,
    top_k: int,
    min_p: float,
) -> None:
    """For any size and any parameters, flat and steep distributions, and equal scores."""
    sampling = Sampling(temperature, top_p, top_k, min_p, seed=seed)
    scores = random_scores(1, size, spread, seed).round(1)
    # A little room: single and double precision may disagree where a nucleus ends.
    roomy = Sampling(temperature, min(1, top_p * 1.001), top_k, min_p * 0.999)
    possible = allowed(scores[0], roomy) > 0
    chooser = Chooser(sampling, [])
    for _ in range(5):
        token = choose(scores.copy(), [chooser])[0]
        assert possible[token] or (sampling.greedy and token == scores[0].argmax())


def test_forbidden_tokens_are_never_drawn() -> None:
    """A score of minus infinity, as grammars set it, has no probability."""
    scores = np.full((1, 300), -np.inf, np.float32)
    scores[0, [7, 200]] = 1.0
    for sampling in SAMPLINGS:
        chooser = Chooser(sampling, [])
        assert {choose(scores.copy(), [chooser])[0] for _ in range(50)} <= {7, 200}
        assert set(choose(np.repeat(scores, 50, axis=0), [chooser] * 50)) <= {7, 200}


@pytest.mark.parametrize("rows", [3, 5])
@pytest.mark.parametrize("point", [0.0, np.nextafter(1.0, 0)])
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_the_ends_of_randomness(sampling: Sampling, point: float, rows: int) -> None:
    """The least and the greatest random number give possible tokens too, for a few rows and for more."""
    scores = random_scores(rows, 500, 1)
    scores[:, 100:] = -np.inf

    class Fixed(Chooser):
        def __init__(self) -> None:
            super().__init__(sampling, [])
            self.random = type("Random", (), {"random": lambda self: point})()  # type: ignore[assignment]

    assert max(choose(scores, [Fixed() for _ in range(rows)])) < 100


def test_processors_see_every_choice() -> None:
    """A penalty changes the next choice of its own row only."""
    penalized = Chooser(Sampling(temperature=0, repetition_penalty=2.0), [])
    plain = Chooser(Sampling(temperature=0), [])
    scores = np.array([[3, 2, 0], [3, 2, 0]], np.float32)
    chosen = [choose(scores.copy(), [penalized, plain]) for _ in range(3)]
    assert chosen == [[0, 0], [1, 0], [0, 0]]


def test_a_large_vocabulary_is_not_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorting 128 000 scores for each token would take longer than some models do."""
    sorted_sizes: list[int] = []
    for name in ("sort", "lexsort", "argsort"):
        original = getattr(np, name)

        def spy(values, *args, _original=original, **more):  # type: ignore[no-untyped-def]
            sorted_sizes.append(np.shape(values)[-1])
            return _original(values, *args, **more)

        monkeypatch.setattr(np, name, spy)
    scores = random_scores(2, 128_000, 3)
    for sampling in SAMPLINGS:
        choose(scores.copy(), [Chooser(sampling, []), Chooser(sampling, [])])
    assert max(sorted_sizes) < 4096
