"""How busy homes are, as far as this gateway knows, and the choice of one that is less so."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hoonify_router.api import Candidate


def take_less_busy(candidates: Sequence[Candidate], dice: random.Random) -> Candidate:
    """Return the less busy one of two candidates drawn at random.

    Two choices are nearly as good as a look at all, and gateways that know nothing of each other do not
    all run to the same home.
    """
    first, second = (
        dice.sample(candidates, 2) if len(candidates) > 2 else _shuffled(candidates, dice)
    )
    told = first.load is not None and second.load is not None
    return first if _share(first, told) <= _share(second, told) else second


def requests_at(candidate: Candidate) -> int:
    """Return how many requests are at a home: our own, or all, where its engine tells."""
    load = candidate.load
    return (
        candidate.in_flight
        if load is None
        else max(candidate.in_flight, load.running + load.queued)
    )


def about_as_idle(candidates: Sequence[Candidate], slack: int) -> list[Candidate]:
    """Return those that have at most ``slack`` requests more than their fair part of what the least busy one has."""
    told = all(one.load is not None for one in candidates)
    least = min(_share(one, told) for one in candidates)
    return [one for one in candidates if _share(one, told) <= least + slack / one.home.weight]


def _share(candidate: Candidate, engines_tell: bool) -> float:
    """Return how busy a home would be with one more request, against its weight.

    What engines tell is a second old, our own count is not: together they see other gateways and our own
    last burst. It counts only where both candidates tell, or the silent one would seem idle.
    """
    load = candidate.load
    engine = load.running + load.queued if engines_tell and load is not None else 0
    return (candidate.in_flight + engine + 1) / candidate.home.weight


def _shuffled(candidates: Sequence[Candidate], dice: random.Random) -> Sequence[Candidate]:
    return candidates if dice.random() < 0.5 else candidates[::-1]
