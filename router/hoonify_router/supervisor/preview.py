"""What a new configuration would do, told before anybody does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hoonify_router.supervisor.difference import Difference
from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.load_times import LoadTimes
from hoonify_router.supervisor.plan import HomePlan
from hoonify_router.supervisor.room import Room
from hoonify_router.supervisor.uses import Uses
from hoonify_router.types.plan import GpuStep, HomeStep, Move

_AWAY = ("unavailable", "stopped")


@dataclass(frozen=True)
class Knowledge:
    """What there is to know of homes.

    Args:
        in_flight: Requests at a home.
        expected_load: Seconds that a home is likely to load.
        held: Bytes that all homes take now, by GPU.
        budget: Bytes that they may take together, by GPU.
    """

    in_flight: Callable[[Home], int]
    expected_load: Callable[[HomePlan], float | None]
    held: Callable[[], Mapping[int, int]]
    budget: Mapping[int, int]

    @classmethod
    def of(cls, room: Room, uses: Uses, load_times: LoadTimes) -> Knowledge:
        """Return what a supervisor knows."""
        return cls(
            in_flight=lambda home: uses.in_flight(home.key),
            expected_load=load_times.expected,
            held=room.held,
            budget=room.budget.capacity,
        )


def moves_of(
    difference: Difference[Home], swapped: Iterable[HomePlan], known: Knowledge
) -> list[Move]:
    """Return the models whose homes would change.

    Args:
        difference: What becomes of homes.
        swapped: Homes that cannot be loaded before the old ones are gone.
        known: What there is to know of homes.
    """
    away = {plan.model for plan in swapped}
    models = dict.fromkeys(
        [
            *(plan.model for plan in difference.started),
            *(home.plan.model for home in difference.stopped),
        ]
    )
    moves = []
    for model in models:
        started = [plan for plan in difference.started if plan.model == model]
        stopped = [home for home in difference.stopped if home.plan.model == model]
        moves.append(
            Move(
                model=model,
                stop=[_stop(home, known) for home in stopped],
                start=[_start(plan, known) for plan in started],
                swap=model in away,
            )
        )
    return moves


def gpus_of(difference: Difference[Home], known: Knowledge) -> list[GpuStep]:
    """Return the GPUs whose memory would be used differently."""
    before = dict(known.held())
    leaving = _sums(home.plan.claim for home in difference.stopped if home.life.state not in _AWAY)
    coming = _sums(plan.claim for plan in difference.started if plan.always)
    steps = []
    for gpu in sorted({*leaving, *coming}):
        held = before.get(gpu, 0)
        both = held + coming.get(gpu, 0)
        steps.append(
            GpuStep(
                gpu=gpu,
                before=held,
                meanwhile=both,
                after=max(0, both - leaving.get(gpu, 0)),
                budget=known.budget.get(gpu),
            )
        )
    return steps


def load_seconds_of(moves: Iterable[Move]) -> float | None:
    """Return how long all new homes are likely to load; ``None`` where that is not known of one of them."""
    times = [step.load_seconds for move in moves for step in move.start]
    known = [seconds for seconds in times if seconds is not None]
    return max(known) if known and len(known) == len(times) else None


def _stop(home: Home, known: Knowledge) -> HomeStep:
    plan = home.plan
    return HomeStep(
        home=plan.id,
        model=plan.model,
        backend=plan.backend.name,
        in_flight=known.in_flight(home),
        memory=_by_name(plan.claim),
        state=home.life.state,
    )


def _start(plan: HomePlan, known: Knowledge) -> HomeStep:
    return HomeStep(
        home=plan.id,
        model=plan.model,
        backend=plan.backend.name,
        load_seconds=known.expected_load(plan),
        memory=_by_name(plan.claim),
    )


def _by_name(claim: Mapping[int, int]) -> dict[str, int]:
    return {str(gpu): size for gpu, size in claim.items() if size}


def _sums(claims: Iterable[Mapping[int, int]]) -> dict[int, int]:
    sums: dict[int, int] = {}
    for claim in claims:
        for gpu, size in claim.items():
            if size:
                sums[gpu] = sums.get(gpu, 0) + size
    return sums
