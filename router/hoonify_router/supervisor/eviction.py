"""Who makes room on the GPUs for whom, and when: pure policy. Nothing in here has an effect or looks at a clock.

Memory is counted in claims: the bytes that a home takes on each GPU. A home that wants in gets what is free; if
that is not enough, others make room, but never one that always runs (``pinned``), and nobody before its
turn is over: it has then been ready for at least ``turn`` seconds. So two homes that do not fit together
take turns, and each is loaded at most once per two turns.

Of those that may go, the idle ones go before the busy ones, and then those whose absence costs least: a home that
loads quickly and was not used for long goes first, as in the cache policy GreedyDual.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

Claim = Mapping[int, int]
"""Bytes by the number of the GPU."""

_UNKNOWN_COST = 30.0  # seconds that a load is taken to cost where nobody knows


@dataclass(frozen=True)
class Tenant:
    """A home that is in memory, or on its way there or out.

    Args:
        id: Its name.
        claim: What it takes.
        pinned: Whether it always runs.
        busy: Whether it has requests.
        leaving: Whether it has been told to go.
        ready_since: Since when it can serve; ``None`` while it loads.
        last_used: When it last had a request.
        reload_cost: Seconds that its next load is likely to take.
    """

    id: str
    claim: Claim
    pinned: bool = False
    busy: bool = False
    leaving: bool = False
    ready_since: float | None = None
    last_used: float = 0.0
    reload_cost: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What becomes of a home that wants in.

    Args:
        fits: It may come now.
        evict: These must go first; they have not been told yet.
        look_again: When time alone may change the verdict; ``None`` where something must happen.
        never: As things are, it cannot come at all; these are in its way for good.
    """

    fits: bool = False
    evict: tuple[str, ...] = ()
    look_again: float | None = None
    never: tuple[str, ...] | None = None


def fits(held: Iterable[Claim], new: Claim, capacity: Claim) -> bool:
    """Tell whether ``new`` fits beside what is held; a GPU of no known capacity takes anything."""
    taken = dict.fromkeys(new, 0)
    for claim in held:
        for gpu in taken.keys() & claim.keys():
            taken[gpu] += claim[gpu]
    return all(
        taken[gpu] + size <= capacity[gpu] for gpu, size in new.items() if size and gpu in capacity
    )


def decide(
    new: Claim,
    tenants: Collection[Tenant],
    capacity: Claim,
    now: float,
    turn: float,
    *,
    alone: bool = False,
) -> Verdict:
    """Decide about a home that claims ``new``.

    Args:
        new: What it takes.
        tenants: All others that are in memory or on their way.
        capacity: What homes may take in all.
        now: The time.
        turn: Seconds that a home serves before it must make room.
        alone: It has run out of memory beside others: all that can must go, whatever the sums say.
    """
    near = [one for one in tenants if not one.claim.keys().isdisjoint(new)]
    fixed = [one for one in near if one.pinned]
    movable = [one for one in near if not one.pinned]

    def enough(staying: Iterable[Tenant]) -> bool:
        left = list(staying)
        if alone:
            return all(one.pinned for one in left)
        return fits([one.claim for one in left], new, capacity)

    if enough(near):
        return Verdict(fits=True)
    if not alone and not fits([one.claim for one in fixed], new, capacity):
        return Verdict(never=tuple(one.id for one in fixed))
    staying = [one for one in near if not one.leaving]
    if enough(staying):
        return Verdict()  # as soon as they have left
    free_at = {
        one.id: one.ready_since + (0.0 if alone else turn)
        for one in movable
        if not one.leaving and one.ready_since is not None
    }
    for moment in sorted({now, *(at for at in free_at.values() if at > now)}):
        may_go = [one for one in staying if free_at.get(one.id, moment + 1) <= moment]
        kept = [one for one in staying if one not in may_go]
        if enough(kept):
            if moment > now:
                return Verdict(look_again=moment)
            return Verdict(evict=tuple(one.id for one in _choose(may_go, staying, enough, now)))
    return Verdict()  # somebody still loads: when it is ready, its turn begins


def _choose(
    may_go: Sequence[Tenant],
    staying: Sequence[Tenant],
    enough: Callable[[Iterable[Tenant]], bool],
    now: float,
) -> list[Tenant]:
    """Return who shall go of those that may: as few as will do, the cheapest first."""
    going: list[Tenant] = []
    for one in sorted(may_go, key=lambda tenant: _worth(tenant, now)):
        if enough([other for other in staying if other not in going]):
            break
        going.append(one)
    for one in going[:]:  # the last ones may have made an earlier one superfluous
        rest = [other for other in going if other is not one]
        if enough([other for other in staying if other not in rest]):
            going = rest
    return going


def _worth(tenant: Tenant, now: float) -> tuple[bool, float]:
    """Return how much would be lost if it went: little where it loads quickly or was not used for long."""
    cost = _UNKNOWN_COST if tenant.reload_cost is None else tenant.reload_cost
    since = max(tenant.last_used, tenant.ready_since or 0.0)
    return tenant.busy, max(cost, 0.1) / (max(now - since, 0.0) + 1.0)
