"""What one answer remembers between its tokens: its wishes, its own randomness, what changes its scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hoonify_backends.generation.penalties import CountPenalty, RepetitionPenalty, TokenBias
from hoonify_backends.generation.sampling import Constraint, Floats, LogitsProcessor, Sampling
from hoonify_router.errors import RouterError


class Chooser:
    """One answer's sampling.

    Args:
        sampling: The wishes.
        prompt: Tokens of the prompt.
        choice: Which of a prompt's answers it is; with a seed each has a stream of random numbers of its own.
        constraint: What its form allows; it comes after all other processors.
        watched: How many of the likeliest tokens are told with each; ``None`` tells nothing.
    """

    __slots__ = ("constraint", "failure", "greedy", "processors", "random", "sampling", "watched")

    def __init__(
        self,
        sampling: Sampling,
        prompt: Sequence[int],
        *,
        choice: int = 0,
        constraint: Constraint | None = None,
        watched: int | None = None,
    ) -> None:
        self.sampling = sampling
        self.greedy = sampling.greedy
        self.random = np.random.default_rng(_entropy(sampling.seed, choice))
        self.constraint = constraint
        self.watched = watched
        self.failure: RouterError | None = None
        self.processors: list[LogitsProcessor] = []
        if sampling.repetition_penalty != 1.0:
            self.processors.append(RepetitionPenalty(sampling.repetition_penalty, prompt))
        if sampling.frequency_penalty or sampling.presence_penalty:
            self.processors.append(
                CountPenalty(sampling.frequency_penalty, sampling.presence_penalty)
            )
        if sampling.logit_bias:
            self.processors.append(TokenBias(sampling.logit_bias))
        if constraint is not None:
            self.processors.append(constraint)

    def prepare(self, row: Floats) -> None:
        """Let the processors change the row of scores; one that gives up sets ``failure``."""
        try:
            for processor in self.processors:
                processor.apply(row)
        except RouterError as failure:
            self.failure = failure
            row.fill(0)  # whatever is drawn of it is thrown away

    def saw(self, token: int) -> None:
        """Tell the processors which token was chosen."""
        if self.failure is not None:
            return
        try:
            for processor in self.processors:
                processor.saw(token)
        except RouterError as failure:
            self.failure = failure


def _entropy(seed: int | None, choice: int) -> int | list[int] | None:
    """Return what the random numbers grow from; the first answer's are those of the only one."""
    if seed is None:
        return None
    positive = seed % 2**64  # clients may send negative ones
    return [positive, choice] if choice else positive
