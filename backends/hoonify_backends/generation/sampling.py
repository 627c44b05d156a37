"""How one request wants its tokens chosen, and what may change a model's scores before that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_GREEDY_BELOW = 1e-5


@dataclass(frozen=True, slots=True)
class Sampling:
    """The request's wishes; the defaults change nothing.

    Args:
        temperature: Randomness; 0 takes the likeliest token.
        top_p: Only the likeliest tokens that together have this much probability.
        top_k: Only this many likeliest tokens; 0 is no limit.
        min_p: Only tokens at least this probable, relative to the likeliest.
        repetition_penalty: Divides the score of tokens that prompt or answer already have.
        seed: Makes the choice repeatable; ``None`` takes fresh randomness.
        frequency_penalty: Taken off a token's score for each time that the answer already has it.
        presence_penalty: Taken off once the answer has it at all.
        logit_bias: Tokens and what is added to their scores.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature < _GREEDY_BELOW or self.top_k == 1

    @property
    def ordered(self) -> bool:
        """Whether the choice needs the tokens in the order of their probability."""
        return self.top_k > 0 or self.top_p < 1.0


class LogitsProcessor(Protocol):
    """Changes a request's scores before a token is chosen: penalties, biases, grammars."""

    def apply(self, logits: Floats) -> None:
        """Change one row of scores in place."""

    def saw(self, token: int) -> None:
        """Hear which token was chosen."""


class Constraint(LogitsProcessor, Protocol):
    """A processor that lets only those tokens through with which an answer keeps its form.

    ``apply`` and ``saw`` may raise a ``RouterError``: it fails the one request.
    """

    @property
    def complete(self) -> bool:
        """Whether the answer has its form and nothing may follow; looked at after each ``saw``."""
