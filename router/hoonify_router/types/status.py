"""The status of a whole router, as ``hoonify-router status --json`` and ``GET /v1/admin/status`` tell it.

This shape is stable: fields are added, none is taken away or changes its meaning. Times are seconds; a number that
is not known is ``null``. No prompt, no answer and no key is in it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from hoonify_router.types.homes import HomeState

WINDOW = 60.0
"""Seconds that ``Traffic`` looks back."""


class Traffic(Struct, kw_only=True):
    """What was asked of a home, a model or the whole router in the last minute.

    Args:
        requests: Requests that ended; one that was tried on two homes counts at each.
        failed: Those among them that their home failed: errors, timeouts, broken connections.
        requests_per_second: The same per second.
        tokens_per_second: Tokens of answers; those that are being written are counted as far as they are.
        prompt_tokens: Of the requests that ended.
        completion_tokens: Of the requests that ended.
        ttft_p50: From a request's arrival to the first token of its answer, the median.
        ttft_p99: The same, of the slowest hundredth.
        itl_p50: Between two tokens of one answer on average, the median of the answers.
        itl_p99: The same, of the slowest hundredth.
    """

    requests: int = 0
    failed: int = 0
    requests_per_second: float = 0.0
    tokens_per_second: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    ttft_p50: float | None = None
    ttft_p99: float | None = None
    itl_p50: float | None = None
    itl_p99: float | None = None


class LoadStage(Struct, kw_only=True):
    """How far a home has come with loading; ``total`` is 0 where nobody knows."""

    stage: str
    done: int = 0
    total: int = 0


class HomeSnapshot(Struct, kw_only=True):
    """One home.

    Args:
        id: Its name: ``MODEL`` or ``MODEL/NUMBER``.
        backend: Its backend.
        state: Where it is in its life.
        held: Whether an operator keeps it out of service until ``models start``.
        always: Whether it runs as long as the router does; else it starts on demand.
        shadow: Whether it is a candidate that gets copies of requests, and counts for nothing else.
        weight: Its share of the model's requests, against the other homes.
        reason: Why it does not serve, for clients; empty when it does.
        detail: The same for operators, one line.
        retry_after: Until another try makes sense.
        loading: How far it has come with loading.
        since: Since it came into its state.
        starts: How often it has been started.
        load_seconds: How long its last start took.
        pid: Its engine's process; ``null`` where there is none of ours.
        device: Where it runs, as its engine says.
        memory_bytes: What it takes there, as its engine says; 0 where it does not.
        in_flight: Requests at this home now.
        running: Requests that its engine works on.
        queued: Requests that wait in its engine.
        breaker: ``open`` where a gateway leaves it alone because it keeps failing.
        traffic: Of the last minute.
    """

    id: str
    backend: str
    state: HomeState
    held: bool = False
    always: bool = True
    shadow: bool = False
    weight: int = 1
    reason: str = ""
    detail: str = ""
    retry_after: float | None = None
    loading: LoadStage | None = None
    since: float = 0.0
    starts: int = 0
    load_seconds: float | None = None
    pid: int | None = None
    device: str = ""
    memory_bytes: int = 0
    in_flight: int = 0
    running: int = 0
    queued: int = 0
    breaker: Literal["closed", "half-open", "open"] = "closed"
    traffic: Traffic = field(default_factory=Traffic)


class ModelSnapshot(Struct, kw_only=True):
    """One model of the catalog.

    Args:
        id: Its catalog ID.
        state: The best state that one of its homes is in.
        in_flight: Requests at its homes now.
        homes: Its homes.
        traffic: Of all of them, in the last minute.
    """

    id: str
    state: HomeState
    in_flight: int = 0
    homes: list[HomeSnapshot] = []
    traffic: Traffic = field(default_factory=Traffic)


class GpuSnapshot(Struct, kw_only=True):
    """One GPU, as ``nvidia-smi`` tells it."""

    index: int
    name: str
    memory_used_bytes: int
    memory_total_bytes: int
    utilization: float | None = None


class ErrorSnapshot(Struct, kw_only=True):
    """Something that went wrong.

    Args:
        at: When, in seconds since 1970.
        home: Where.
        kind: The error's name, such as ``EngineDead``.
        what: What that means; never a text of a client's or of an engine's answer.
    """

    at: float
    home: str
    kind: str
    what: str


class ReloadSnapshot(Struct, kw_only=True, frozen=True):
    """How the last reload of the configuration ended.

    Args:
        result: What it came to. ``refused``: the file cannot be served; ``failed``: it can, but a new home did not
            come up; after both, the generation before serves on.
        generation: Which one is in force since.
        trigger: What set it off, and who.
        at: When it ended, in seconds since 1970.
        seconds: How long it took.
        changes: What has changed, one line each.
        problems: Why it did not take effect, one line each.
    """

    result: Literal["applied", "unchanged", "refused", "failed", "superseded"]
    generation: int
    trigger: str = ""
    at: float = 0.0
    seconds: float = 0.0
    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Snapshot(Struct, kw_only=True):
    """The whole router.

    Args:
        version: Of the router.
        at: When this was true, in seconds since 1970.
        config: The file that it serves.
        address: Base URL of its door.
        generation: Of the configuration.
        uptime: Of the supervisor.
        gateways: Gateway processes that are connected.
        gateways_heard: Those that have answered in time; else the traffic is not all of it.
        models: In the order of the file.
        gpus: Empty where there is no ``nvidia-smi``.
        errors: The last ones, newest first.
        notes: What else an operator should know, such as why the last reload was refused.
        traffic: Of all models, in the last minute.
        in_flight: Requests at all homes now.
        reload: How the last reload ended; ``null`` where there was none.
    """

    version: str
    at: float
    config: str
    address: str
    generation: int
    uptime: float
    gateways: int
    gateways_heard: int
    models: list[ModelSnapshot] = []
    gpus: list[GpuSnapshot] = []
    errors: list[ErrorSnapshot] = []
    notes: list[str] = []
    traffic: Traffic = field(default_factory=Traffic)
    in_flight: int = 0
    reload: ReloadSnapshot | None = None


class HomeTally(Struct, kw_only=True):
    """What one gateway has counted at a home in the last minute; tallies of several add up.

    Args:
        in_flight: Requests there now.
        requests: That ended.
        failed: Those that the home failed.
        prompt_tokens: Of those that ended.
        completion_tokens: Of those that ended.
        produced: Tokens that came within the window.
        ttft: How many first tokens took how long, by the number of the bucket.
        itl: The same for the average pause between tokens.
        breaker: State of this gateway's circuit breaker.
        errors: The last ones.
    """

    in_flight: int = 0
    requests: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    produced: float = 0.0
    ttft: dict[int, int] = {}
    itl: dict[int, int] = {}
    breaker: Literal["closed", "half-open", "open"] = "closed"
    errors: list[ErrorSnapshot] = []
