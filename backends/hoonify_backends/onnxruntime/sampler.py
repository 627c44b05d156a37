"""Choose the next token of several requests at once, out of the model's scores.

Nothing here sorts a whole vocabulary. The likeliest tokens are found through groups of the vocabulary:
if ``m`` groups have a maximum of at least ``t``, at least ``m`` tokens have a score of at least ``t``;
so the m-th largest group maximum bounds the m likeliest tokens, and only what is above it is sorted.
A request's choice depends on its own row alone, not on who shares the step with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hoonify_backends.onnxruntime.sampling import Chooser, Floats

Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]

_GROUP_SIZE = 64  # of the inverse distribution function; about the square root of a vocabulary
_FIRST_TRY = 64  # likeliest tokens that a nucleus is looked for in at first


def choose(logits: Floats, choosers: Sequence[Chooser]) -> list[int]:
    """Return one token per row of ``logits``; the rows may be changed.

    Args:
        logits: Scores, one row per request, one column per token.
        choosers: The requests' sampling, in the order of the rows.
    """
    for row, chooser in zip(logits, choosers, strict=True):
        for processor in chooser.processors:
            processor.apply(row)
    tokens = logits.argmax(axis=1)
    drawn = [i for i, chooser in enumerate(choosers) if not chooser.greedy]
    if drawn:
        ordered = [i for i in drawn if choosers[i].sampling.ordered]
        free = [i for i in drawn if not choosers[i].sampling.ordered]
        for rows, draw in ((ordered, _draw_among_likeliest), (free, _draw_among_all)):
            if rows:
                part = logits if len(rows) == len(logits) else logits[rows]
                peaks = part[np.arange(len(rows)), tokens[rows]]
                tokens[rows] = draw(part, peaks, [choosers[i] for i in rows])
    chosen: list[int] = tokens.tolist()
    for chooser, token in zip(choosers, chosen, strict=True):
        if chooser.processors:
            chooser.saw(token)
    return chosen


def _draw_among_all(logits: Floats, peaks: Floats, choosers: list[Chooser]) -> Indices:
    """Draw from the whole distribution: first a group of tokens, then a token in it."""
    rows, size = logits.shape
    weights = _weights(logits, peaks, choosers)
    if any(chooser.sampling.min_p > 0 for chooser in choosers):
        floors = np.array([[chooser.sampling.min_p] for chooser in choosers], np.float32)
        weights[weights < floors] = 0
    groups = -(-size // _GROUP_SIZE)
    # Groups are made of columns that are far apart: sums along the outer axis are several times faster.
    padded = np.zeros((rows, _GROUP_SIZE * groups), np.float32)
    padded[:, :size] = weights
    grouped = padded.reshape(rows, _GROUP_SIZE, groups)
    ends = grouped.sum(axis=1).cumsum(axis=1, dtype=np.float64)
    tokens = np.empty(rows, np.int64)
    for row, chooser in enumerate(choosers):
        # Rounding may push a point to either end of its range; an impossible token must not be there.
        point = min(chooser.random.random() * ends[row, -1], np.nextafter(ends[row, -1], 0))
        group = int(ends[row].searchsorted(point, side="right"))
        inside = grouped[row, :, group].cumsum(dtype=np.float64)
        point = max(point - (ends[row, group] - inside[-1]), 0.0)
        place = int(inside.searchsorted(point, side="right"))
        last = int(inside.searchsorted(inside[-1]))
        tokens[row] = min(place, last) * groups + group
    return tokens


def _draw_among_likeliest(logits: Floats, peaks: Floats, choosers: list[Chooser]) -> Indices:
    """Draw from the ``top_k`` likeliest tokens, and of them from those that have ``top_p`` together."""
    size = logits.shape[1]
    samplings = [chooser.sampling for chooser in choosers]
    top_k = np.array([min(s.top_k, size) if s.top_k else size for s in samplings])
    top_p = np.array([s.top_p for s in samplings])
    min_p = np.array([s.min_p for s in samplings])
    # A nucleus without top_k needs the mass of all tokens, however few of them it takes in the end.
    open_ended = [i for i, s in enumerate(samplings) if not s.top_k]
    whole = np.zeros(len(choosers))
    if open_ended:
        part = [choosers[i] for i in open_ended]
        whole[open_ended] = _weights(logits[open_ended], peaks[open_ended], part).sum(axis=1)
    count = max([_FIRST_TRY if open_ended else 1, *(s.top_k for s in samplings)])
    while True:
        rows, tokens, scores = _likeliest(logits, min(count, size))
        temperatures = np.array([s.temperature for s in samplings])
        weights = np.exp((scores - peaks.astype(np.float64)[rows]) / temperatures[rows])
        ends = rows.searchsorted(np.arange(len(choosers)), side="right")
        starts = np.concatenate(([0], ends[:-1]))
        places = np.arange(len(rows)) - starts[rows]
        weights[(places >= top_k[rows])] = 0
        mass, reached = _masses(weights, starts, ends)
        if count >= size or all(mass[i] >= top_p[i] * whole[i] for i in open_ended):
            break
        count *= 8
    totals = np.where(whole > 0, np.maximum(whole, mass), mass)
    before = reached - weights - _bases(reached, starts)[rows]
    # The likeliest token always stays, so that something is left.
    dropped = ((before >= (top_p * totals)[rows]) | (weights < min_p[rows])) & (places > 0)
    weights[dropped] = 0
    mass, reached = _masses(weights, starts, ends)
    points = np.array([chooser.random.random() for chooser in choosers]) * mass
    picks = reached.searchsorted(points + _bases(reached, starts), side="right")
    # Rounding may push a point to the end of its row: then the row's last possible token counts.
    lasts = reached.searchsorted(reached[ends - 1])
    return tokens[np.clip(picks, starts, lasts)]


def _weights(logits: Floats, peaks: Floats, choosers: list[Chooser]) -> Floats:
    """Return unnormalized probabilities; a row's likeliest token has 1."""
    temperatures = np.array([[chooser.sampling.temperature] for chooser in choosers], np.float32)
    scaled: Floats = logits - peaks[:, None]
    scaled /= temperatures
    return np.exp(scaled, out=scaled)


def _likeliest(logits: Floats, count: int) -> tuple[Indices, Indices, Floats]:
    """Return at least the ``count`` likeliest tokens of each row, likeliest first, row after row.

    Equal scores stand in the order of the tokens, whatever else was found.
    """
    rows, size = logits.shape
    width = max(1, size // (4 * count))  # tokens in a group; enough groups for a tight bound
    if width > 1:
        groups = size // width
        even = logits[:, : groups * width].reshape(rows, width, groups).max(axis=1)
        maxima = np.concatenate((even, logits[:, groups * width :]), axis=1)
        bounds = np.partition(maxima, maxima.shape[1] - count, axis=1)[:, -count]
        found = np.flatnonzero(logits >= bounds[:, None])
    else:
        found = np.arange(rows * size)
    row_of = found // size
    scores = logits.reshape(-1)[found]
    order = np.lexsort((-scores, row_of))
    return row_of[order], (found - row_of * size)[order], scores[order]


def _masses(weights: Doubles, starts: Indices, ends: Indices) -> tuple[Doubles, Doubles]:
    """Return each row's sum of weights, and the running sum over all rows."""
    reached = weights.cumsum()
    return reached[ends - 1] - _bases(reached, starts), reached


def _bases(reached: Doubles, starts: Indices) -> Doubles:
    """Return the running sum before each row's first weight."""
    return np.where(starts > 0, reached[starts - 1], 0.0)
