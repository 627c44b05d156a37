"""What a request remembers between its tokens."""

from __future__ import annotations

import numpy as np
import pytest

from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.penalties import RepetitionPenalty
from hoonify_backends.generation.sampling import Sampling


def test_no_temperature_is_greedy() -> None:
    """And so is a choice among one token."""
    assert Sampling(temperature=0).greedy
    assert Sampling(temperature=1, top_k=1).greedy
    assert not Sampling().greedy


def test_seen_tokens_become_less_likely() -> None:
    """Positive scores are divided, negative ones multiplied, others stay; new tokens are added."""
    penalty = RepetitionPenalty(2.0, [1, 1, 3])
    penalty.saw(0)
    penalty.saw(0)
    scores = np.array([4, 4, 4, -4], np.float32)
    penalty.apply(scores)
    assert scores.tolist() == [2, 2, 4, -8]


def test_only_a_penalty_that_does_something_is_applied() -> None:
    """A neutral one costs nothing."""
    assert Chooser(Sampling(), [1]).processors == []
    assert len(Chooser(Sampling(repetition_penalty=1.1), [1]).processors) == 1


@pytest.mark.parametrize("seed", [0, -1, 2**63, -(2**63)])
def test_any_seed_repeats(seed: int) -> None:
    """Clients may send any 64-bit number, negative ones too."""
    first, second = (Chooser(Sampling(seed=seed), []).random.random(4) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_without_a_seed_nothing_repeats() -> None:
    """Each request has fresh randomness."""
    assert Chooser(Sampling(), []).random.random() != Chooser(Sampling(), []).random.random()
