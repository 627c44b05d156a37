"""What changes scores at a request's wish: penalties for what was said before, and biases.

Each touches the few tokens that it is about, never the whole vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hoonify_backends.generation.sampling import Floats


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


class CountPenalty:
    """OpenAI's two penalties: ``score - count * frequency - (count > 0) * presence``, over the answer's tokens.

    Args:
        frequency: Taken off for each time that the answer has the token.
        presence: Taken off once it has the token at all.
    """

    def __init__(self, frequency: float, presence: float) -> None:
        self._frequency = frequency
        self._presence = presence
        self._counts: dict[int, int] = {}
        self._places: dict[int, int] = {}
        self._tokens = np.empty(16, np.int64)
        self._taken = np.empty(16, np.float32)

    def apply(self, logits: Floats) -> None:
        """Change one row of scores in place."""
        seen = len(self._places)
        if seen:
            logits[self._tokens[:seen]] -= self._taken[:seen]

    def saw(self, token: int) -> None:
        """Count a chosen token."""
        place = self._places.get(token)
        if place is None:
            place = self._places[token] = len(self._places)
            if place == len(self._tokens):
                self._tokens = np.resize(self._tokens, 2 * place)
                self._taken = np.resize(self._taken, 2 * place)
            self._tokens[place] = token
        count = self._counts[token] = self._counts.get(token, 0) + 1
        self._taken[place] = count * self._frequency + self._presence


class TokenBias:
    """Adds to the scores of some tokens.

    Args:
        biases: Each token and what is added; no token twice.
    """

    def __init__(self, biases: Sequence[tuple[int, float]]) -> None:
        self._tokens = np.array([token for token, _ in biases], np.int64)
        self._added = np.array([bias for _, bias in biases], np.float32)

    def apply(self, logits: Floats) -> None:
        """Change one row of scores in place."""
        logits[self._tokens] += self._added

    def saw(self, token: int) -> None:
        """Learn nothing from what was chosen."""
