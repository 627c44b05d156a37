"""A home as the supervisor sees it: its life, what is published of it, and who waits for it."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from hoonify_router.api import Unavailable
from hoonify_router.errors import ModelUnavailable
from hoonify_router.supervisor import lifecycle
from hoonify_router.supervisor.lifecycle import Life, Trouble
from hoonify_router.supervisor.plan import HomePlan
from hoonify_router.types import Capabilities, Health, HomeView

log = logging.getLogger(__name__)

HELD = "It is being kept out of service."
_HELD_FOR = 60.0  # nobody knows; a client that asks once a minute does no harm


class Home(ABC):
    """One home; ``run`` is its whole life, all the rest asks and tells.

    Args:
        plan: What it should be.
        on_change: Called with the home whenever what is published of it has changed.

    Attributes:
        waiting: How many wait for it to be ready.
        expected_load: Seconds that its next load is likely to take, where that is known.
        on_loaded: Called with the home and the seconds that a load has taken.
        on_rest: Waited for between the moment from which nothing new shall come, and the drain.
        uid: What tells it from all other homes that have its id, before and after it.
        moving: Whether another home is about to take its place.
        held_by: The operator who keeps it out of service; empty when nobody does.
    """

    def __init__(self, plan: HomePlan, on_change: Callable[[Home], None]) -> None:
        self.plan = plan
        self.uid = ""
        self.moving = False
        self.health = Health()
        self.life = Life()
        self.capabilities: Capabilities | None = None
        self.address = ""
        self._loop = asyncio.get_running_loop()
        self._on_change = on_change
        self._stop_asked: asyncio.Future[None] = self._loop.create_future()
        self._changed: asyncio.Future[None] = self._loop.create_future()
        self._rest_asked: asyncio.Future[None] = self._loop.create_future()
        self._rest_patience = 0.0
        self._wanted = asyncio.Event()
        self.waiting = 0
        self.expected_load: float | None = None
        self.on_loaded: Callable[[Home, float], None] = _forget
        self.on_rest: Callable[[], Awaitable[None]] = _hurry_on
        self.held_by = ""
        self._hurry_asked: asyncio.Future[None] = self._loop.create_future()
        if plan.always:
            self._wanted.set()

    @property
    def key(self) -> str:
        """Return what tells it from all others, as ``HomeView.key`` does."""
        return self.uid or self.plan.id

    @property
    def pid(self) -> int:
        """Return the process of its engine; 0 when there is none of ours."""
        return 0

    @property
    def settled(self) -> bool:
        """Return whether a home that always runs has come to a first result."""
        if self.held_by:
            return True
        return self.life.state in ("ready", "failed", "unavailable") or self.life.starts > 1

    @property
    def view(self) -> HomeView:
        """Return what gateways may know of it now."""
        life, plan = self.life, self.plan
        ready = life.state == "ready"
        state, reason, detail = life.state, life.reason, life.detail
        if self.held_by and state != "unavailable":
            state = "draining" if ready else state
            reason, detail = HELD, f"by {self.held_by}, until `models start`"
        return HomeView(
            id=plan.id,
            model=plan.model,
            backend=plan.backend.name,
            kind=plan.backend.kind,  # type: ignore[arg-type]
            state=state,
            address=self.address if ready else "",
            served_name=self.served_name,
            api_key=plan.home.api_key or "",
            weight=plan.home.weight,
            always=plan.always,
            reason=reason,
            detail=detail,
            retry_after=self.retry_after,
            progress=life.progress,
            capabilities=self.capabilities if ready else None,
            starts=life.starts,
            load_seconds=life.load_seconds,
            uid=self.uid,
            moving=self.moving,
            held=bool(self.held_by),
            shadow=plan.shadow,
        )

    @property
    def retry_after(self) -> float | None:
        """Return the seconds after which another try makes sense, where that can be told."""
        now = self._loop.time()
        if self.held_by:
            return _HELD_FOR
        if self.life.retry_at is not None:
            return max(self.life.retry_at - now, 0.0)
        if self.expected_load is None or self.life.state not in ("stopped", "starting", "loading"):
            return None
        spent = 0.0 if self.life.state == "stopped" else now - self.life.began
        return max(self.expected_load - spent, 1.0)

    @property
    def counts_down(self) -> bool:
        """Return whether ``retry_after`` changes as time passes."""
        return not self.held_by and self.retry_after is not None and self.life.state != "stopped"

    @property
    def rests(self) -> bool:
        """Return whether it has been told to stop for now, and has not yet."""
        return self._rest_asked.done()

    @property
    def drain_patience(self) -> float:
        """Return how long its running requests may take to finish, now that it stops."""
        if self._rest_asked.done() and not self._stop_asked.done():
            return self._rest_patience
        return self.plan.limits.drain_timeout

    @property
    def served_name(self) -> str:
        """Return the model name that the engine itself expects."""
        return ""

    async def ensure_ready(self) -> HomeView:
        """Start it if need be, wait until it is ready.

        Raises:
            ModelUnavailable: It cannot be ready, or not soon.
        """
        self.waiting += 1
        try:
            while True:
                view = self.view
                if view.held:
                    told = f"The model '{self.plan.model}' is not available: {view.reason}"
                    raise ModelUnavailable(told, retry_after=view.retry_after)
                self._wanted.set()
                if view.state == "ready" and not self._rest_asked.done():
                    return view
                if view.state in ("failed", "unavailable") or self._stop_asked.done():
                    reason = (view.reason or "it is being stopped").rstrip(".")
                    told = f"The model '{self.plan.model}' is not available: {reason}."
                    raise ModelUnavailable(told, retry_after=view.retry_after)
                await asyncio.shield(self._changed)
        finally:
            self.waiting -= 1

    async def until_at_rest(self) -> None:
        """Wait until nothing of it runs."""
        while self.rests or self.life.state in ("starting", "loading", "ready", "draining"):
            await asyncio.shield(self._changed)

    @abstractmethod
    async def run(self) -> None:
        """Live until ``stop`` is called; never raises."""

    def replan(self, plan: HomePlan) -> None:
        """Take over a plan of the same identity: what may change while the engine runs."""
        self.plan = plan
        if plan.always:
            self._wanted.set()

    def stop(self) -> None:
        """Begin to drain, then stop; ``run`` returns when that is done."""
        if not self._stop_asked.done():
            self._stop_asked.set_result(None)

    def rest(self, patience: float) -> None:
        """Begin to drain, then stop until it is wanted again, as a home that always runs is at once.

        Args:
            patience: Seconds that its running requests get to finish.
        """
        if self._rest_asked.done() or self.life.state not in ("starting", "loading", "ready"):
            return
        self._rest_patience = patience
        if not self.plan.always:
            self._wanted.clear()
        self._rest_asked.set_result(None)

    def note_waiting(self, why: str) -> None:
        """Note what a home that is wanted waits for before it can start; an empty text is nothing."""
        if self.life.state == "stopped":
            self._set(dataclasses.replace(self.life, reason=why, detail=""))

    def hold(self, who: str) -> None:
        """Keep it out of service until ``release``: it gets no new request, and none starts it.

        Args:
            who: The operator.
        """
        self.held_by = who or "an operator"
        self._wanted.clear()
        self._tell()

    def release(self) -> None:
        """Give it back to the service; a home that always runs is started."""
        self.held_by = ""
        if self.plan.always:
            self._wanted.set()
        self._tell()

    def hurry(self) -> None:
        """End a cool-down: it may start, or is looked at, now."""
        if self.life.state == "failed" and not self._hurry_asked.done():
            self._hurry_asked.set_result(None)

    async def changes(self, patience: float) -> None:
        """Wait until what is published of it changes, for ``patience`` seconds at most."""
        await asyncio.wait({self._changed}, timeout=patience)

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until a stop or somebody who is in a hurry."""
        watched = {self._stop_asked, self._hurry_asked}
        await asyncio.wait(watched, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._hurry_asked.done():
            self._hurry_asked = self._loop.create_future()

    def kill(self) -> None:  # noqa: B027 - most homes have no process of ours
        """End whatever process it has, without a word."""

    def _set(self, life: Life) -> None:
        before, self.life = self.life, life
        shown = (life.state, life.progress, life.reason, life.detail, life.retry_at)
        if shown == (before.state, before.progress, before.reason, before.detail, before.retry_at):
            return
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, self._loop.create_future()
        changed.set_result(None)
        self._on_change(self)

    def _fail(self, trouble: Trouble) -> None:
        now = self._loop.time()
        self._set(lifecycle.failed(self.life, now, trouble, self.plan.limits))
        pause = (self.life.retry_at or now) - now
        when = f"next try in {pause:.0f} s" if pause else "restarting"
        when = "it is out of service" if self.held_by else when
        told = trouble.detail.partition("\n")[0]  # the rest, its output, has been logged as it came
        log.error("%s: %s (%s)", self.plan.id, f"{trouble.reason} {told}".strip(), when)


def _forget(home: Home, seconds: float) -> None:
    """Keep nothing in mind."""


async def _hurry_on() -> None:
    """Wait for nobody."""


class UnavailableHome(Home):
    """A home that cannot run here at all; it says why, for as long as the router runs."""

    def __init__(self, plan: HomePlan, on_change: Callable[[Home], None], why: Unavailable) -> None:
        super().__init__(plan, on_change)
        self.life = Life(state="unavailable", reason=why.reason, detail=why.detail)

    async def run(self) -> None:
        """Wait for the end."""
        await self._stop_asked
