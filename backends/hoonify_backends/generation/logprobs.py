"""How probable tokens were by the model's own distribution, before any wish of the request changed it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.ranking import floors
from hoonify_backends.generation.sampling import Floats
from hoonify_router.types import TokenLogprob

_LOOKED_AT = 64  # likeliest tokens that are sorted; for fewer, finding them takes longer


class Score(NamedTuple):
    """What is told of one token.

    Args:
        logprob: Natural logarithm of its probability.
        top: The likeliest tokens in its place with theirs, most probable first.
    """

    logprob: float
    top: list[tuple[int, float]]


class Watch:
    """The scores of those rows that somebody wants to know of, as the model gave them.

    Args:
        logits: The scores of all rows, not changed yet.
        rows: Which of them.
        counts: For each of these how many of its likeliest tokens are wanted.
    """

    def __init__(self, logits: Floats, rows: list[int], counts: list[int]) -> None:
        self._rows = rows
        self._counts = counts
        self._scores: Floats = logits[rows]  # a copy: what chooses tokens changes them in place
        peaks = self._scores.max(axis=1)
        weights = self._scores - peaks[:, None]
        masses = np.exp(weights, out=weights).sum(axis=1, dtype=np.float64)
        self._norms: NDArray[np.float64] = peaks + np.log(masses)

    def scores(self, tokens: Sequence[int]) -> list[Score | None]:
        """Return for each row what is told of the token that was chosen, or ``None``."""
        told: list[Score | None] = [None] * len(tokens)
        most = max(self._counts)
        least = floors(self._scores, max(most, _LOOKED_AT)) if most else None
        for place, row in enumerate(self._rows):
            scores, norm = self._scores[place], self._norms[place]
            top: list[tuple[int, float]] = []
            if least is not None and self._counts[place]:
                likeliest = np.flatnonzero(scores >= least[place])
                order = np.argsort(-scores[likeliest], kind="stable")[: self._counts[place]]
                likeliest = likeliest[order]
                top = list(
                    zip(likeliest.tolist(), (scores[likeliest] - norm).tolist(), strict=True)
                )
            told[row] = Score(float(scores[tokens[row]] - norm), top)
        return told


def watch(logits: Floats, choosers: Sequence[Chooser]) -> Watch | None:
    """Keep the scores of the rows whose log probabilities are wanted; ``None`` where nobody wants any.

    Args:
        logits: Scores, one row per request; call this before anything changes them.
        choosers: The requests' sampling, in the order of the rows.
    """
    rows = [row for row, chooser in enumerate(choosers) if chooser.watched is not None]
    if not rows:
        return None
    return Watch(logits, rows, [choosers[row].watched or 0 for row in rows])


class Ledger:
    """Log probabilities that wait until the text of their tokens is shown.

    Tokens that only together make a character, and tokens without any text, wait for the next that has some.
    """

    __slots__ = ("_open", "_read", "_shown", "_waiting")

    def __init__(self) -> None:
        self._open: list[TokenLogprob] = []  # tokens whose text is not complete
        self._waiting: list[
            tuple[int, int, list[TokenLogprob]]
        ] = []  # from where to where in the text
        self._read = 0  # characters that tokens have given
        self._shown = 0  # of these, characters that were shown

    def note(self, entry: TokenLogprob, text: str) -> None:
        """Take the next token, and the text that is complete with it."""
        self._open.append(entry)
        if text:
            start, self._read = self._read, self._read + len(text)
            self._waiting.append((start, self._read, self._open))
            self._open = []

    def show(self, characters: int) -> list[TokenLogprob]:
        """Return the tokens whose text ends within what is shown now."""
        self._shown += characters
        ready: list[TokenLogprob] = []
        while self._waiting and self._waiting[0][1] <= self._shown:
            ready += self._waiting.pop(0)[2]
        return ready

    def close(self, *, cut: bool) -> list[TokenLogprob]:
        """Return the tokens that are left at the end of the answer.

        Args:
            cut: The text was cut before its end, by a stop string: only tokens of which some is shown count.
        """
        ready: list[TokenLogprob] = []
        for start, _, entries in self._waiting:
            if not cut or start < self._shown:
                ready += entries
        if not cut:
            ready += self._open
        self._waiting, self._open = [], []
        return ready
