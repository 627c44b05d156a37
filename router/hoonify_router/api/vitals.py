"""How one gateway process does, for plugins that tell it on: metrics, dashboards, alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hoonify_router.types import Health, HomeView, Task

BreakerState = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class HomeVitals:
    """A home as this gateway sees it.

    Args:
        home: As the last routing table has it.
        in_flight: Requests of this gateway process that are there now.
        breaker: State of this process's circuit breaker for it.
        load: How the engine does, as it last said; ``None`` where it does not tell.
        parameters: Request fields that it honours; ``None`` where it decides itself, or nobody knows yet.
        tasks: What it may be asked for.
    """

    home: HomeView
    in_flight: int = 0
    breaker: BreakerState = "closed"
    load: Health | None = None
    parameters: frozenset[str] | None = None
    tasks: frozenset[Task] = frozenset({"chat"})


@dataclass(frozen=True, slots=True)
class MiddlewareTime:
    """How long requests were in one middleware since this process started, its waiting included.

    Args:
        name: What ``pipeline:`` calls it.
        phase: The phase in which it is asked, in lower case, or ``settle`` for ``on_finally``.
        calls: How often.
        seconds: How long altogether.
        failures: How often it raised what it should not, or took too long.
        stalls: How often it held the event loop up.
        off: Why it is turned off in this process; empty while it is asked.
    """

    name: str
    phase: str
    calls: int
    seconds: float
    failures: int = 0
    stalls: int = 0
    off: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number that a plugin tells of itself, for ``hoonify_collect_metrics``.

    The numbers of several gateway processes add up.

    Args:
        name: As Prometheus wants it, such as ``office_hours_refusals_total``; a counter's ends in ``_total``.
        help: What it tells, one sentence.
        value: The number now; a counter's never goes down.
        kind: Which of the two it is.
        labels: What distinguishes it from others of the same name; nothing that a client made up.
    """

    name: str
    help: str
    value: float
    kind: Literal["counter", "gauge"] = "gauge"
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vitals:
    """How this gateway process does at the moment.

    Args:
        homes: All homes of the routing table.
        middleware: Where requests spent time in the pipeline.
        measurements: What plugins tell of themselves.
        cut_streams: Streams since the start that ended with neither a finish nor an error although the client
            was there. The router exists to keep this at 0.
        generation: Of the routing table.
        reloads: How many reloads had which result.
    """

    homes: tuple[HomeVitals, ...] = ()
    middleware: tuple[MiddlewareTime, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    cut_streams: int = 0
    generation: int = 0
    reloads: Mapping[str, int] = field(default_factory=dict)
