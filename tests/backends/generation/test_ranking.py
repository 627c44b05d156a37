"""The likeliest few without sorting."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hoonify_backends.generation.ranking import floors


@given(
    rows=st.integers(1, 4),
    size=st.integers(1, 2000),
    count=st.integers(1, 300),
    digits=st.sampled_from([0, 1, 6]),
    seed=st.integers(0, 2**32),
)
def test_enough_values_reach_the_floor(
    *, rows: int, size: int, count: int, digits: int, seed: int
) -> None:
    """All of the likeliest do, for any size and for many equal values."""
    values = np.random.default_rng(seed).normal(0, 3, (rows, size)).astype(np.float32)
    values = values.round(digits)
    for row, floor in zip(values, floors(values, count), strict=True):
        assert (row >= floor).sum() >= min(count, size)
        assert floor <= np.sort(row)[-min(count, size)]


def test_hardly_more_values_reach_it() -> None:
    """Else what looks at them would take as long as sorting all."""
    values = np.random.default_rng(0).normal(0, 3, (8, 128_000)).astype(np.float32)
    for count in (1, 20, 64, 256):
        assert ((values >= floors(values, count)[:, None]).sum(axis=1) < 3 * count + 3).all()
