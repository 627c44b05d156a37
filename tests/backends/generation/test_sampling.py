"""What a request may wish of its tokens."""

from __future__ import annotations

from hoonify_backends.generation.sampling import Sampling


def test_no_temperature_is_greedy() -> None:
    """And so is a choice among one token."""
    assert Sampling(temperature=0).greedy
    assert Sampling(temperature=1, top_k=1).greedy
    assert not Sampling().greedy
