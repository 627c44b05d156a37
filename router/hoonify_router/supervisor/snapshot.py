"""The status of the whole router, put together from what the supervisor knows and what gateways have counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from hoonify_router.discretion import without_keys
from hoonify_router.supervisor.messages import HomeStatus
from hoonify_router.tally import merged, traffic_of
from hoonify_router.types import HomeState
from hoonify_router.types.status import (
    ErrorSnapshot,
    HomeSnapshot,
    HomeTally,
    LoadStage,
    ModelSnapshot,
)

Tallies = Mapping[str, HomeTally]
"""What one gateway has counted, by home."""

ERRORS = 20
_BEST: tuple[HomeState, ...] = (
    "ready",
    "loading",
    "starting",
    "stopped",
    "draining",
    "failed",
    "unavailable",
)
_DETAIL = 300


def read_tallies(told: Iterable[object]) -> list[dict[str, HomeTally]]:
    """Return what gateways have answered; what makes no sense is left out."""
    read = []
    for each in told:
        try:
            read.append(msgspec.convert(each, dict[str, HomeTally], str_keys=True))
        except msgspec.ValidationError:
            continue
    return read


def describe_models(
    order: Iterable[str], homes: Sequence[HomeStatus], gateways: Sequence[Tallies]
) -> list[ModelSnapshot]:
    """Return all models with their homes.

    Args:
        order: Catalog IDs as they shall come; others come last.
        homes: What the supervisor knows.
        gateways: What each gateway has counted.
    """
    by_model: dict[str, list[HomeStatus]] = {model: [] for model in order}
    for home in homes:
        by_model.setdefault(home.home.model, []).append(home)
    return [_describe_model(model, its, gateways) for model, its in by_model.items()]


def last_errors(own: Iterable[ErrorSnapshot], gateways: Sequence[Tallies]) -> list[ErrorSnapshot]:
    """Return the last errors that anybody knows of, newest first."""
    known = list(own)
    for tallies in gateways:
        for tally in tallies.values():
            known += tally.errors
    return sorted(known, key=lambda error: error.at, reverse=True)[:ERRORS]


def whole(gateways: Sequence[Tallies]) -> HomeTally:
    """Return the sum of everything."""
    return merged(tally for tallies in gateways for tally in tallies.values())


def _describe_model(
    model: str, homes: Sequence[HomeStatus], gateways: Sequence[Tallies]
) -> ModelSnapshot:
    names = [home.home.id for home in homes]
    tally = merged(t[name] for t in gateways for name in names if name in t)
    states = {home.home.state for home in homes if not home.home.shadow}
    return ModelSnapshot(
        id=model,
        state=next((state for state in _BEST if state in states), "stopped"),
        in_flight=tally.in_flight,
        homes=[_describe_home(home, gateways) for home in homes],
        traffic=traffic_of(tally),
    )


def _describe_home(known: HomeStatus, gateways: Sequence[Tallies]) -> HomeSnapshot:
    home, health = known.home, known.health
    tally = merged(t[home.id] for t in gateways if home.id in t)
    able = home.capabilities
    stage = None
    if home.progress is not None:
        name, done, total = home.progress
        stage = LoadStage(stage=name, done=done, total=total)
    return HomeSnapshot(
        id=home.id,
        backend=home.backend,
        state=home.state,
        held=home.held,
        always=home.always,
        shadow=home.shadow,
        weight=home.weight,
        reason=home.reason,
        detail=without_keys(home.detail.partition("\n")[0][:_DETAIL]),
        retry_after=home.retry_after,
        loading=stage,
        since=round(known.uptime, 1),
        starts=home.starts,
        load_seconds=home.load_seconds,
        pid=known.pid or None,
        device=able.device if able is not None else "",
        memory_bytes=able.memory_bytes if able is not None else 0,
        in_flight=tally.in_flight,
        running=health.running,
        queued=health.queued,
        breaker=tally.breaker,
        traffic=traffic_of(tally),
    )
