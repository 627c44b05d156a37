"""How one request wants its tokens chosen, and what it remembers between them."""

from __future__ import annotations

from collections.abc import Sequence
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
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None

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


class RepetitionPenalty:
    """Makes every token that prompt or answer has less likely, as Hugging Face does.

    Args:
        penalty: Positive scores are divided by it, negative ones multiplied.
        prompt: Tokens of the prompt.
    """

    def __init__(self, penalty: float, prompt: Sequence[int]) -> None:
        self._penalty = np.float32(penalty)
        self._known = set(prompt)
        self._tokens = np.array(sorted(self._known), np.int64)

    def apply(self, logits: Floats) -> None:
        """Change one row of scores in place."""
        seen = logits[self._tokens]
        logits[self._tokens] = np.where(seen > 0, seen / self._penalty, seen * self._penalty)

    def saw(self, token: int) -> None:
        """Remember a chosen token."""
        if token not in self._known:
            self._known.add(token)
            self._tokens = np.append(self._tokens, token)


class Chooser:
    """One request's sampling: its wishes, its own randomness, its processors.

    Args:
        sampling: The wishes.
        prompt: Tokens of the prompt.
    """

    __slots__ = ("greedy", "processors", "random", "sampling")

    def __init__(self, sampling: Sampling, prompt: Sequence[int]) -> None:
        self.sampling = sampling
        self.greedy = sampling.greedy
        seed = None if sampling.seed is None else sampling.seed % 2**64
        self.random = np.random.default_rng(seed)
        self.processors: list[LogitsProcessor] = []
        if sampling.repetition_penalty != 1.0:
            self.processors.append(RepetitionPenalty(sampling.repetition_penalty, prompt))

    def saw(self, token: int) -> None:
        """Tell the processors which token was chosen."""
        for processor in self.processors:
            processor.saw(token)
