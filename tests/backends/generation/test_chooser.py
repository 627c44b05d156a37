"""What an answer remembers between its tokens: its randomness and what changes its scores."""

from __future__ import annotations

import numpy as np
import pytest

from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.sampler import choose
from hoonify_backends.generation.sampling import Floats, Sampling
from hoonify_router.errors import InvalidRequest


def draws(seed: int | None, choice: int = 0) -> list[float]:
    drawn: list[float] = Chooser(Sampling(seed=seed), [], choice=choice).random.random(4).tolist()
    return drawn


@pytest.mark.parametrize("seed", [0, -1, 2**63, -(2**63)])
def test_any_seed_repeats(seed: int) -> None:
    """Clients may send any 64-bit number, negative ones too."""
    assert draws(seed) == draws(seed)


def test_without_a_seed_nothing_repeats() -> None:
    """Each request has fresh randomness."""
    assert draws(None) != draws(None)


def test_each_of_several_answers_has_a_stream_of_its_own() -> None:
    """Derived from the seed, so that all of them repeat; other seeds give others."""
    several = [draws(5, choice) for choice in range(128)]
    assert several == [draws(5, choice) for choice in range(128)]
    assert len({tuple(one) for one in several}) == 128
    assert not {tuple(draws(6, choice)) for choice in range(128)} & {tuple(s) for s in several}


class Fussy:
    """A constraint that lets one token through, and gives up where it is told to."""

    def __init__(self, at: str = "") -> None:
        self._at = at
        self.complete = False

    def apply(self, logits: Floats) -> None:
        if self._at == "apply":
            logits.fill(-np.inf)
            raise InvalidRequest("too complex", param="response_format")
        kept = logits[4]
        logits.fill(-np.inf)
        logits[4] = kept

    def saw(self, token: int) -> None:
        if self._at == "saw":
            raise InvalidRequest("too complex", param="response_format")
        self.complete = True


def test_a_constraint_has_the_last_word() -> None:
    """A bias makes no token possible that the form of the answer does not allow."""
    chooser = Chooser(
        Sampling(temperature=0, logit_bias=((1, 100.0), (4, -100.0))), [], constraint=Fussy()
    )
    assert choose(np.zeros((1, 9), np.float32), [chooser]) == [4]


@pytest.mark.parametrize("at", ["apply", "saw"])
@pytest.mark.parametrize("sampling", [Sampling(temperature=0), Sampling(), Sampling(top_k=3)])
def test_a_constraint_that_gives_up_fails_its_own_answer_only(at: str, sampling: Sampling) -> None:
    """The others in the step get their tokens, and it is not asked again."""
    lost, fine = Chooser(sampling, [], constraint=Fussy(at)), Chooser(Sampling(temperature=0), [])
    scores = np.array([[0, 1, 2, 3, 4, 5]] * 2, np.float32)
    assert choose(scores, [lost, fine])[1] == 5
    assert isinstance(lost.failure, InvalidRequest)
    assert fine.failure is None
    lost.saw(1)
