"""Choose the next token of several requests at once, out of the model's scores.

A vocabulary is never sorted where a part of it will do; ``ranking`` tells how the likeliest tokens are found.

A request's choice depends on its own row alone, not on who shares the step with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.ranking import floors
from hoonify_backends.generation.sampling import Floats, Sampling

Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]

_FEW = 256  # a top_k up to this is drawn from a short list
_GROUP_SIZE = 64  # of the inverse distribution function; about the square root of a vocabulary
_FIRST_TRY = 64  # likeliest tokens that a nucleus is looked for in
_FEW_ROWS = 3  # up to so many are drawn one by one: arrays this small cost by the operation
_SORTED = 1024  # what is left of a larger nucleus is halved until it is this small, then sorted


def choose(logits: Floats, choosers: Sequence[Chooser]) -> list[int]:
    """Return one token per row of ``logits``; the rows may be changed.

    Args:
        logits: Scores, one row per request, one column per token.
        choosers: The requests' sampling, in the order of the rows.
    """
    for row, chooser in enumerate(choosers):
        if chooser.processors:
            chooser.prepare(logits[row])
    tokens = logits.argmax(axis=1)
    drawn = [i for i, chooser in enumerate(choosers) if not chooser.greedy]
    few = [i for i in drawn if 0 < choosers[i].sampling.top_k <= _FEW]
    many = [i for i in drawn if i not in few] if few else drawn
    for rows, draw in ((few, _draw_from_few), (many, _draw_from_many)):
        if rows:
            part = logits if len(rows) == len(logits) else logits[rows]
            peaks = part[np.arange(len(rows)), tokens[rows]]
            points = np.array([choosers[i].random.random() for i in rows])
            tokens[rows] = draw(part, peaks, points, [choosers[i].sampling for i in rows])
    chosen: list[int] = tokens.tolist()
    for chooser, token in zip(choosers, chosen, strict=True):
        if chooser.processors:
            chooser.saw(token)
    return chosen


def _draw_from_many(
    logits: Floats, peaks: Floats, points: Doubles, samplings: list[Sampling]
) -> Indices:
    """Draw from whole rows: first a group of tokens, then a token in it."""
    rows, size = logits.shape
    temperatures = np.array([[s.temperature] for s in samplings], np.float32)
    groups = -(-size // _GROUP_SIZE)
    padded = np.empty((rows, _GROUP_SIZE * groups), np.float32)
    padded[:, size:] = 0
    weights = padded[:, :size]
    np.subtract(logits, peaks[:, None], out=weights)
    weights /= temperatures
    np.exp(weights, out=weights)
    for row, sampling in zip(weights, samplings, strict=True):
        floor = max(sampling.min_p, _floor(row, sampling))
        if floor > 0:
            row[row < floor] = 0
    grouped = padded.reshape(rows, _GROUP_SIZE, groups)
    ends = grouped.sum(axis=1).cumsum(axis=1, dtype=np.float64)
    tokens = np.empty(rows, np.int64)
    for row, point in enumerate(points):
        # Rounding may push a point to either end of its range; an impossible token must not be there.
        where = min(point * ends[row, -1], np.nextafter(ends[row, -1], 0))
        group = int(ends[row].searchsorted(where, side="right"))
        inside = grouped[row, :, group].cumsum(dtype=np.float64)
        where = max(where - (ends[row, group] - inside[-1]), 0.0)
        place = int(inside.searchsorted(where, side="right"))
        last = int(inside.searchsorted(inside[-1]))
        tokens[row] = min(place, last) * groups + group
    return tokens


def _floor(weights: Floats, sampling: Sampling) -> float:
    """Return the least weight that ``top_k`` and ``top_p`` let a token have; equal ones stay together."""
    size, floor = len(weights), 0.0
    if 0 < sampling.top_k < size:
        floor = float(np.partition(weights, size - sampling.top_k)[size - sampling.top_k])
        weights = weights[weights >= floor]
    if sampling.top_p >= 1:
        return floor
    needed = sampling.top_p * float(weights.sum(dtype=np.float64))
    likeliest = weights[weights >= floors(weights[None], _FIRST_TRY)[0]]
    if likeliest.sum(dtype=np.float64) >= needed:  # nearly always
        weights = likeliest
    while len(weights) > _SORTED:
        half = len(weights) // 2
        weights = np.partition(weights, half)
        upper, lower = weights[half:], weights[:half]
        mass = float(upper.sum(dtype=np.float64))
        if mass >= needed:
            weights = upper
        else:
            needed, weights = needed - mass, lower
    weights = np.sort(weights)[::-1]
    place = int(weights.cumsum(dtype=np.float64).searchsorted(needed))
    return float(weights[min(place, len(weights) - 1)])


def _draw_from_few(
    logits: Floats, peaks: Floats, points: Doubles, samplings: list[Sampling]
) -> Indices:
    """Draw from the ``top_k`` likeliest tokens, and of them from those that have ``top_p`` together.

    Each row of the table has its likeliest tokens, the first of all first, and nothing (``-inf``) behind them.
    What is done to it is what ``_draw_one_from_few`` does to a row, number by number.
    """
    if len(samplings) <= _FEW_ROWS:
        drawn = map(_draw_one_from_few, logits, peaks.tolist(), points.tolist(), samplings)
        return np.fromiter(drawn, np.int64, len(samplings))
    rows, size = logits.shape
    top_k = np.array([s.top_k for s in samplings])
    found = np.flatnonzero(logits >= floors(logits, int(top_k.max()))[:, None])
    scores = logits.reshape(-1)[found].astype(np.float64)
    row_of = found // size
    order = np.lexsort((-scores, row_of))
    counts = np.bincount(row_of, minlength=rows)
    places = np.arange(len(found)) - (counts.cumsum() - counts)[row_of]
    table = np.full((rows, counts.max()), -np.inf)
    tokens = np.zeros(table.shape, np.int64)
    table[row_of, places] = scores[order]
    tokens[row_of, places] = found[order] - row_of * size
    every = np.arange(rows)
    temperatures = np.array([s.temperature for s in samplings])
    weights = np.exp((table - peaks[:, None]) / temperatures[:, None])
    lasts = table[every, np.minimum(top_k, counts) - 1]
    weights[table < lasts[:, None]] = 0  # equal ones stay together
    reached = weights.cumsum(axis=1)
    top_p = np.array([s.top_p for s in samplings])
    min_p = np.array([s.min_p for s in samplings])
    if top_p.min() < 1 or min_p.max() > 0:
        masses = top_p * reached[:, -1]
        dropped = (reached - weights >= masses[:, None]) | (weights < min_p[:, None])
        dropped[:, 0] = False  # the likeliest always stays, so that something is left
        weights[dropped] = 0
        reached = weights.cumsum(axis=1)
    totals = reached[:, -1:]
    picks = (reached <= points[:, None] * totals).sum(axis=1)
    # Rounding may push a point to the end of its row: then the row's last possible token counts.
    chosen: Indices = tokens[every, np.minimum(picks, (reached < totals).sum(axis=1))]
    return chosen


def _draw_one_from_few(logits: Floats, peak: float, point: float, sampling: Sampling) -> int:
    """Draw for one row from its ``top_k`` likeliest tokens, and of them from those that have ``top_p`` together."""
    found = (logits >= floors(logits[None], sampling.top_k)[0]).nonzero()[0]
    scores = logits[found].astype(np.float64)
    order = (-scores).argsort(kind="stable")
    scores = scores[order]
    weights = np.exp((scores - peak) / sampling.temperature)
    if sampling.top_k < len(scores):
        weights[scores < scores[sampling.top_k - 1]] = 0
    reached = weights.cumsum()
    if sampling.top_p < 1 or sampling.min_p > 0:
        first = weights[0]
        weights[reached - weights >= sampling.top_p * reached[-1]] = 0
        if sampling.min_p > 0:
            weights[weights < sampling.min_p] = 0
        weights[0] = first
        reached = weights.cumsum()
    total = reached[-1]
    pick = min(reached.searchsorted(point * total, side="right"), reached.searchsorted(total))
    return int(found[order[pick]])
