"""Room on the GPUs: who is there, who waits, and whom ``eviction`` asks to leave."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from hoonify_router.config.sizes import show_size
from hoonify_router.supervisor.budget import Budget
from hoonify_router.supervisor.eviction import Claim, Tenant, decide
from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.idleness import is_busy, last_use
from hoonify_router.supervisor.lifecycle import Trouble
from hoonify_router.supervisor.memory import GpuMemory
from hoonify_router.supervisor.uses import Uses

log = logging.getLogger(__name__)

_MEMORY_BACK = 30.0  # seconds that a driver may take to give back what a process has held
_LOOK_INTERVAL = 0.25
_RUNNING = ("starting", "loading", "ready")
_WAITS = "It waits for GPU memory that other models use."
_NO_ROOM_FOR_SHADOW = "There is no GPU memory to spare for it."
_NO_ROOM = "It needs GPU memory that other models hold for good."


@dataclass(eq=False)
class _Waiter:
    """A home that wants in."""

    home: Home
    alone: bool
    admitted: asyncio.Future[None]


class Room:
    """Lets homes into the memory of the GPUs, first come first served, and sends others away for them.

    Every change is looked at in one place, ``_arrange``; nothing acts on what it has read a moment ago.

    Args:
        budget: What there is.
        memory: What is free, by the driver's word.
        uses: Who uses which home.
        turn: Seconds that a home serves before it must make room.
        patience: Seconds that a home which makes room gets to finish what runs there.
    """

    def __init__(
        self, budget: Budget, memory: GpuMemory, uses: Uses, turn: float, patience: float
    ) -> None:
        self.budget = budget
        self._memory = memory
        self._uses = uses
        self._turn = turn
        self._patience = patience
        self._inside: dict[Home, Claim] = {}
        self._waiters: list[_Waiter] = []
        self._left_at: dict[int, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._arranging = False

    def fits(self, new: Claim, *, without: Callable[[Home], bool] = lambda home: False) -> bool:
        """Tell whether a home could be let in now without anybody's leaving, but those who leave anyway.

        Args:
            new: What it takes.
            without: Whom not to count.
        """
        held = [claim for home, claim in self._inside.items() if not without(home)]
        return self.budget.fits(held, new)

    def claims(self, *, without: Callable[[Home], bool] = lambda home: False) -> list[Claim]:
        """Return what each of the homes that are inside takes.

        Args:
            without: Whom not to count.
        """
        return [claim for home, claim in self._inside.items() if not without(home)]

    def held(self) -> dict[int, int]:
        """Return what the homes that are inside claim, by GPU."""
        sums: dict[int, int] = {}
        for claim in self._inside.values():
            for gpu, size in claim.items():
                sums[gpu] = sums.get(gpu, 0) + size
        return sums

    async def enter(self, home: Home, *, alone: bool = False) -> None:
        """Wait until there is room for a home, and take it; ``leave`` gives it back.

        Args:
            home: Who wants in.
            alone: It has run out of memory beside others: all that can must go first.

        Raises:
            Trouble: There can be none.
        """
        claim = home.plan.claim
        if home in self._inside or not claim:
            return
        if home.plan.shadow and (self._waiters or not self.fits(claim)):
            raise Trouble(_NO_ROOM_FOR_SHADOW, f"{_claimed(claim)}; a shadow sends nobody away")
        waiter = _Waiter(home, alone, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self.look()
        if not waiter.admitted.done():
            home.note_waiting(_WAITS)
        try:
            await waiter.admitted
            await self._wait_for_memory(home, claim)
            home.note_waiting("")
        except BaseException:
            self._inside.pop(home, None)
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            self.look()
            raise

    def leave(self, home: Home) -> None:
        """Note that nothing of a home is in memory any more."""
        claim = self._inside.pop(home, None)
        if claim is not None:
            now = asyncio.get_running_loop().time()
            self._left_at.update(dict.fromkeys(claim, now))
            self.look()

    def recount(self, home: Home) -> None:
        """Note that a home which is inside has another claim by its new plan."""
        if home in self._inside:
            self._inside[home] = home.plan.claim
            self.look()

    def has_company(self, home: Home) -> bool:
        """Tell whether there is anybody who could make room for a home that has run out of memory."""
        return not home.plan.shadow and any(
            not other.plan.always and not claim.keys().isdisjoint(home.plan.claim)
            for other, claim in self._inside.items()
            if other is not home
        )

    def look(self) -> None:
        """Look at everything anew; to be called when a home has come into another state."""
        if self._arranging:  # by a home that was sent away just now
            return
        self._arranging = True
        try:
            self._arrange()
        finally:
            self._arranging = False

    # ------------------------------------------------------------ who comes, who goes

    def _arrange(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        look_again: list[float] = []
        spoken_for: set[int] = set()  # whoever came later does not overtake
        for waiter in self._waiters[:]:
            claim = waiter.home.plan.claim
            if waiter.admitted.done() or not spoken_for.isdisjoint(claim):
                spoken_for.update(claim)
                continue
            tenants = [self._tenant(home, claim) for home, claim in self._inside.items()]
            capacity = self.budget.capacity
            verdict = decide(claim, tenants, capacity, now, self._turn, alone=waiter.alone)
            if verdict.fits:
                self._waiters.remove(waiter)
                self._inside[waiter.home] = claim
                waiter.admitted.set_result(None)
                continue
            if verdict.never is not None:
                self._waiters.remove(waiter)
                others = " and ".join(verdict.never)
                told = f"{_claimed(claim)}; {others or 'nobody'} always runs there"
                waiter.admitted.set_exception(Trouble(_NO_ROOM, told))
                continue
            spoken_for.update(claim)
            for other in [one for one in self._inside if one.plan.id in verdict.evict]:
                log.info("%s makes room for %s", other.plan.id, waiter.home.plan.id)
                other.rest(0.0 if other.plan.shadow else self._patience)
            if verdict.look_again is not None:
                look_again.append(verdict.look_again)
        if look_again:
            self._timer = loop.call_at(min(look_again), self.look)

    def _tenant(self, home: Home, claim: Claim) -> Tenant:
        if home.plan.shadow:  # it goes at once, before all others
            return Tenant(
                id=home.plan.id,
                claim=claim,
                leaving=home.rests or home.life.state in ("draining", "failed"),
                ready_since=-math.inf if home.life.state in _RUNNING else None,
                last_used=-math.inf,
                reload_cost=0.0,
            )
        return Tenant(
            id=home.plan.id,
            claim=claim,
            pinned=home.plan.always,
            busy=is_busy(home, self._uses),
            leaving=home.rests or home.life.state in ("draining", "failed"),
            ready_since=home.life.since if home.life.state == "ready" else None,
            last_used=last_use(home, self._uses),
            reload_cost=home.expected_load,
        )

    # ------------------------------------------------------------ what the driver says

    async def _wait_for_memory(self, home: Home, claim: Claim) -> None:
        """Wait until the memory of those who have left is really free; a driver takes its time."""
        loop = asyncio.get_running_loop()
        since = max((self._left_at.get(gpu, 0.0) for gpu in claim), default=0.0)
        give_up = since + _MEMORY_BACK
        while since and loop.time() < give_up:
            free = await self._memory.free()
            short = {gpu: free[gpu] for gpu, size in claim.items() if free.get(gpu, size) < size}
            if not short:
                return
            if loop.time() + _LOOK_INTERVAL >= give_up:
                told = ", ".join(f"{show_size(size)} on GPU {gpu}" for gpu, size in short.items())
                log.warning(
                    "%s: only %s are free %g s after others have left; it is loaded all the same",
                    home.plan.id,
                    told,
                    _MEMORY_BACK,
                )
                return
            await asyncio.sleep(_LOOK_INTERVAL)


def _claimed(claim: Claim) -> str:
    sizes = [f"{show_size(size)} on GPU {gpu}" for gpu, size in claim.items()]
    return f"it takes {' and '.join(sizes)}"
