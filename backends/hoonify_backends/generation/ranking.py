"""The likeliest few of many scores, without sorting them."""

from __future__ import annotations

import numpy as np

from hoonify_backends.generation.sampling import Floats


def floors(values: Floats, count: int) -> Floats:
    """Return for each row a value that at least ``count`` of its values reach, and hardly more do.

    If ``m`` groups of values have a maximum of at least ``t``, at least ``m`` values are at least ``t``; so
    the m-th largest group maximum bounds the m largest values from below. Groups are made of columns far
    apart, because numpy reduces along the outer axis several times faster.
    """
    size = values.shape[1]
    width = max(1, size // (4 * count))  # values in a group; enough groups for a tight bound
    groups = size // width
    maxima = values[:, : groups * width].reshape(-1, width, groups).max(axis=1)
    if groups * width < size:
        maxima = np.concatenate((maxima, values[:, groups * width :]), axis=1)
    place = maxima.shape[1] - min(count, maxima.shape[1])
    bounds: Floats = np.partition(maxima, place, axis=1)[:, place]
    return bounds
