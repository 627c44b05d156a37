"""The life of a home as pure policy: states, time limits, back-off. Nothing in here has an effect.

    stopped -> starting -> loading -> ready -> draining -> stopped
                  \\          \\         \\
                   `-----------+---------`--> failed -> starting, when its cool-down is over

Times are seconds of any monotonic clock and are passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hoonify_router.types import HomeState

_NEXT: dict[HomeState, frozenset[HomeState]] = {
    "stopped": frozenset({"starting", "failed"}),
    "starting": frozenset({"loading", "failed", "stopped"}),
    "loading": frozenset({"ready", "failed", "stopped"}),
    "ready": frozenset({"draining", "failed", "stopped"}),
    "draining": frozenset({"stopped"}),
    "failed": frozenset({"starting", "stopped"}),
    "unavailable": frozenset(),
}


_LOOK_AGAIN = 1.0
_LOOK_AGAIN_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds.

    Args:
        load_stall: A load may show no progress for this long.
        load_timeout: A load may take this long altogether.
        drain_timeout: Running requests get this long when the home stops.
        cool_down: Pause after a failure; doubles with each further one in a row.
        cool_down_max: The longest pause.
        served_well: Having been ready for this long makes up for earlier failures.
        heartbeat_timeout: A ready engine may be silent for this long.
        step_timeout: An engine with work may take this long for one step.
        restarts: After so many failures within ``restart_window`` a home is left alone for ``cool_down_max``.
        restart_window: Seconds after which a failure is forgotten, as far as this goes.
    """

    load_stall: float = 300.0
    load_timeout: float = 7200.0
    drain_timeout: float = 30.0
    cool_down: float = 10.0
    cool_down_max: float = 300.0
    served_well: float = 60.0
    heartbeat_timeout: float = 15.0
    step_timeout: float = 300.0
    restarts: int = 5
    restart_window: float = 600.0


class Trouble(Exception):
    """Why a home cannot go on.

    Args:
        reason: A sentence for clients: no path, no address.
        detail: For the operator.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Life:
    """Where a home is in its life.

    Args:
        state: Its state.
        since: When it came into this state.
        began: When the current start began.
        moved_at: When it last showed a sign of life that counts: progress, or a heartbeat.
        step_age: Age of the engine's last step while it has work, by its last heartbeat.
        retry_at: When a failed home may start again.
        strikes: Failures in a row that were followed by a cool-down.
        failures: When it failed lately.
        spared: Whether the one restart without a cool-down has been used.
        progress: ``(stage, done, total)`` while loading.
        reason: Why it does not serve, for clients.
        detail: The same for the operator.
        starts: How often it has been started.
        load_seconds: How long its last start took until it was ready.
    """

    state: HomeState = "stopped"
    since: float = 0.0
    began: float = 0.0
    moved_at: float = 0.0
    step_age: float = 0.0
    retry_at: float | None = None
    strikes: int = 0
    failures: tuple[float, ...] = ()
    spared: bool = False
    progress: tuple[str, int, int] | None = None
    reason: str = ""
    detail: str = ""
    starts: int = 0
    load_seconds: float | None = None


def _enter(life: Life, state: HomeState, now: float) -> Life:
    if state not in _NEXT[life.state]:
        raise ValueError(f"a home cannot go from {life.state} to {state}")
    return replace(life, state=state, since=now, moved_at=now, progress=None, retry_at=None)


def start(life: Life, now: float) -> Life:
    """Begin a start; the reason of an earlier failure stays until the home is ready."""
    return replace(_enter(life, "starting", now), began=now, step_age=0.0, starts=life.starts + 1)


def connected(life: Life, now: float) -> Life:
    """Note that the worker process is there and has been told to load."""
    return _enter(life, "loading", now)


def progressed(life: Life, now: float, stage: str, done: int, total: int) -> Life:
    """Note how far the load has come; only what differs from the last word counts as progress."""
    step = (stage, done, total)
    if life.state != "loading" or life.progress == step:
        return life
    return replace(life, progress=step, moved_at=now)


def became_ready(life: Life, now: float) -> Life:
    """Note that the home has answered its warm-up request."""
    ready = _enter(life, "ready", now)
    return replace(ready, reason="", detail="", load_seconds=now - life.began)


def heartbeat(life: Life, now: float, step_age: float) -> Life:
    """Note that the engine has told how it does."""
    return replace(life, moved_at=now, step_age=step_age) if life.state == "ready" else life


def failed(life: Life, now: float, trouble: Trouble, limits: Limits) -> Life:
    """Note a failure and decide when the home may start again.

    The first crash of a home that has been ready is followed by a restart at once, everything else by
    a cool-down that doubles. Serving well for a while makes up for all of it, but not for failing again
    and again: then the restart budget is used up.
    """
    lately = (*(at for at in life.failures if now - at < limits.restart_window), now)
    lately = lately[-limits.restarts - 1 :]
    life = replace(life, failures=lately)
    served = life.state == "ready"
    if served and now - life.since >= limits.served_well:
        life = replace(life, strikes=0, spared=False)
    if served and not life.spared:
        life, pause = replace(life, spared=True), 0.0
    else:
        pause = min(limits.cool_down * 2**life.strikes, limits.cool_down_max)
        life = replace(life, strikes=min(life.strikes + 1, 32))
    if len(lately) > limits.restarts:
        pause = limits.cool_down_max
        times = (
            f"it has failed {limits.restarts} times within {limits.restart_window / 60:g} minutes"
        )
        trouble = Trouble(
            trouble.reason, f"{trouble.detail}\n{times}; left alone for a while".strip()
        )
    entered = _enter(life, "failed", now)
    return replace(entered, retry_at=now + pause, reason=trouble.reason, detail=trouble.detail)


def answered(life: Life, now: float) -> Life:
    """Note that a home's server, which is not ours to start, has answered."""
    if life.state == "ready":
        return life
    return Life("ready", since=now, began=life.began, moved_at=now, starts=life.starts)


def unanswered(life: Life, now: float, trouble: Trouble) -> Life:
    """Note that a home's server has not answered; the next look is soon, then less and less so."""
    pause = min(_LOOK_AGAIN * 2**life.strikes, _LOOK_AGAIN_MAX)
    return replace(
        life,
        state="failed",
        since=life.since if life.state == "failed" else now,
        retry_at=now + pause,
        strikes=min(life.strikes + 1, 32),
        reason=trouble.reason,
        detail=trouble.detail,
    )


def draining(life: Life, now: float) -> Life:
    """Begin to stop: nothing new, what runs may finish."""
    return _enter(life, "draining", now)


def stopped(life: Life, now: float) -> Life:
    """Note that nothing of it runs any more."""
    return life if life.state == "stopped" else replace(_enter(life, "stopped", now), step_age=0.0)


def may_start(life: Life, now: float) -> bool:
    """Return whether a start is allowed now."""
    if life.state == "failed":
        return life.retry_at is not None and now >= life.retry_at
    return life.state == "stopped"


def deadline(life: Life, limits: Limits) -> float | None:
    """Return when ``overdue`` must be asked again; ``None`` when time alone changes nothing."""
    if life.state in ("starting", "loading"):
        return min(life.moved_at + limits.load_stall, life.began + limits.load_timeout)
    if life.state == "ready":
        return life.moved_at + limits.heartbeat_timeout
    return None


def overdue(life: Life, now: float, limits: Limits) -> Trouble | None:
    """Return what has taken too long, if anything has."""
    if life.state in ("starting", "loading"):
        stage = f"; last word: {' '.join(map(str, life.progress))}" if life.progress else ""
        if now >= life.began + limits.load_timeout:
            told = f"not loaded within load_timeout ({limits.load_timeout:g} s){stage}"
            return Trouble("Its engine took too long to load.", told)
        if now >= life.moved_at + limits.load_stall:
            told = f"no progress within load_stall ({limits.load_stall:g} s){stage}"
            return Trouble("Its engine got stuck while loading.", told)
    if life.state == "ready":
        if now >= life.moved_at + limits.heartbeat_timeout:
            told = f"no heartbeat for {limits.heartbeat_timeout:g} s"
            return Trouble("Its engine stopped responding.", told)
        if life.step_age >= limits.step_timeout:
            told = f"work is pending, but the last step was {life.step_age:.0f} s ago"
            return Trouble("Its engine stopped making progress.", told)
    return None
