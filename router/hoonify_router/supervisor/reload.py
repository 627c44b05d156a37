"""Take over a changed configuration: check it whole, make ready what is new, switch, let go of what is old.

One change at a time, in one task. Until the switch nothing that serves is touched, so whatever fails before
it leaves everything as it was.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hoonify_router.config import LoadedConfig, read_config
from hoonify_router.errors import ConfigError
from hoonify_router.loader import Plugins
from hoonify_router.supervisor.configurations import Configuration, Judge
from hoonify_router.supervisor.difference import Difference, describe
from hoonify_router.supervisor.fleet import Fleet
from hoonify_router.supervisor.generations import Generation, History
from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.lifecycle import Limits
from hoonify_router.supervisor.outcomes import RESULTS, Outcome, Refusal, Result, Trigger
from hoonify_router.supervisor.plan import HomePlan, plan_homes
from hoonify_router.supervisor.readiness import (
    compare_with_what_runs,
    make_ready,
    models_in_service,
    refuse_what_cannot_run,
)
from hoonify_router.supervisor.room import Room
from hoonify_router.supervisor.swap import Swap, plans_to_swap
from hoonify_router.supervisor.watch import changes_of

log = logging.getLogger(__name__)

_A_DAY = 86400.0


@dataclass(frozen=True)
class Proposal:
    """A configuration that may take effect.

    Args:
        new: It.
        plans: Its homes.
        difference: What becomes of the homes that there are.
        changes: What would be different, one line each; nothing if nothing would.
        swapped: Homes that cannot be loaded before the old ones of their models are gone.
    """

    new: Configuration
    plans: list[HomePlan]
    difference: Difference[Home]
    changes: list[str]
    swapped: list[HomePlan]


class Reloader:
    """Brings the homes, and all gateways, from one generation to the next.

    Args:
        fleet: The homes.
        loaded: The configuration that is in force.
        plugins: All plugins.
        limits: How long things may take, where the configuration does not say.
        history: Keeps the generations.
        note: Where the number of the generation in force is written down: a supervisor that was killed goes on there.
        switch: Tells all gateways of the generation that is in force now, and waits until each has taken it over.
        tell: Called when a reload has ended.
        republish: Tells gateways that homes have changed.

    Attributes:
        generation: Number of the configuration that is in force.
        last: How the last reload ended.
        counts: How many reloads had which result.
        history: Keeps the generations.
        room: Where homes find their place on the GPUs; ``None`` is room for all.
        swap: Tells whether homes are away to make room.
    """

    def __init__(
        self,
        fleet: Fleet,
        loaded: LoadedConfig,
        plugins: Plugins,
        limits: Limits,
        history: History,
        *,
        note: Path,
        switch: Callable[[], Awaitable[None]],
        tell: Callable[[Outcome], object],
        republish: Callable[[], object],
    ) -> None:
        self._judge = Judge(plugins)
        self._now = self._judge.first(loaded)
        self.last: Outcome | None = None
        self.counts: dict[str, int] = dict.fromkeys(RESULTS, 0)
        self._fleet = fleet
        self._backends = plugins.backends
        self._limits = limits
        self.history = history
        self._note = note
        self.room: Room | None = None
        self.swap = Swap(republish)
        self._switch = switch
        self._told = tell
        self._news = asyncio.Event()
        self._waiting: list[tuple[Trigger, asyncio.Future[Outcome]]] = []
        self._seen: str | None = None
        self._committed = False
        self.generation = self._resume() or history.begin(loaded.text, time.time())

    @property
    def loaded(self) -> LoadedConfig:
        """Return the configuration that is in force."""
        return self._now.loaded

    # ------------------------------------------------------------ asking

    async def reload(self, trigger: Trigger) -> Outcome:
        """Take over what the file says now; return what became of it, or of the newer edit that overtook it."""
        return await self.ask(trigger)

    def ask(self, trigger: Trigger) -> asyncio.Future[Outcome]:
        """Do the same in the background; nobody needs to wait."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((trigger, done))
        self._news.set()
        return done

    async def watch(self) -> None:
        """Reload whenever the file changes, as long as the configuration wants that."""
        async for _ in changes_of(self.loaded.path, self.loaded.text):
            if self.loaded.config.server.watch:
                self.ask(Trigger("file"))

    async def run(self) -> None:
        """Take over one change after the other, for as long as the router runs."""
        while True:
            await self._news.wait()
            await self._reload_until_settled()

    async def _reload_until_settled(self) -> None:
        """Try the newest edit; one that comes while homes load takes the place of the one before."""
        taken = self._take_waiting()
        attempt = asyncio.create_task(self._attempt(taken[-1][0]))
        try:
            while not attempt.done():
                news = asyncio.create_task(self._news.wait())
                await asyncio.wait({attempt, news}, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if attempt.done() or self._committed:
                    await asyncio.wait({attempt})
                    break
                newer = self._take_waiting()
                taken += newer
                if await self._is_another_edit():
                    attempt.cancel()
                    await asyncio.wait({attempt})
                    if attempt.cancelled():
                        self._count("superseded")
                        attempt = asyncio.create_task(self._attempt(newer[-1][0]))
        finally:
            attempt.cancel()
            await asyncio.wait({attempt})
            self._fleet.part(list(self._fleet.coming))
        if (bug := attempt.exception()) is not None:  # this task must live on
            log.critical("a reload has failed", exc_info=bug)
            told = (f"a bug of the router: {type(bug).__name__}: {bug}",)
            outcome = Outcome(result="failed", generation=self.generation, problems=told)
        else:
            outcome = attempt.result()
        for _, done in taken:
            if not done.done():
                done.set_result(outcome)

    def _take_waiting(self) -> list[tuple[Trigger, asyncio.Future[Outcome]]]:
        self._news.clear()
        taken, self._waiting = self._waiting, []
        return taken

    async def _is_another_edit(self) -> bool:
        try:
            return await asyncio.to_thread(read_config, self.loaded.path) != self._seen
        except ConfigError:
            return True

    # ------------------------------------------------------------ one attempt

    async def _attempt(self, trigger: Trigger) -> Outcome:
        began = time.monotonic()
        self._committed = False
        self._seen = None
        changes: list[str] = []
        problems: tuple[str, ...] = ()
        result: Result
        try:
            text = self._seen = await self.read()
            if text == self.loaded.text and trigger.how == "file":
                result = "unchanged"
            else:
                changes = await self._take_over(text, trigger)
                result = "applied" if changes else "unchanged"
        except Refusal as refused:
            result, problems = refused.result, refused.problems
        except Exception as bug:
            log.exception("the reload failed")
            result, problems = "failed", (f"a bug of the router: {type(bug).__name__}: {bug}",)
        outcome = Outcome(
            result=result,
            generation=self.generation,
            trigger=str(trigger),
            at=time.time(),
            seconds=round(time.monotonic() - began, 3),
            changes=tuple(changes),
            problems=problems,
        )
        healed = self.last is not None and self.last.problems  # the file is what serves again
        if result != "unchanged" or trigger.how != "file" or healed:
            self._count(result)
            self.last = outcome
            self._tell(outcome)
            self._told(outcome)
        return outcome

    async def _take_over(self, text: str, trigger: Trigger) -> list[str]:
        """Bring the text into force and return what has changed.

        Raises:
            Refusal: It does not come into force.
        """
        proposal = await self.propose(text)
        difference, changes = proposal.difference, proposal.changes
        if not changes:
            return []
        busy = models_in_service(difference)
        beside = [plan for plan in difference.started if plan not in proposal.swapped]
        coming = await make_ready(self._fleet, beside, busy)
        self._committed = True
        if not proposal.swapped:
            await self._come_into_force(proposal, coming, text, trigger)
            return changes
        models = {plan.model for plan in proposal.swapped}
        gone = difference.stopped
        old = [home for home in gone if home.plan.model in models and not home.plan.shadow]
        async with self.swap.away(old, self.loaded.config.server.gpu_patience):
            ready = coming.values()
            coming |= await make_ready(self._fleet, proposal.swapped, busy, beside=[*ready])
            await self._come_into_force(proposal, coming, text, trigger)
        return changes

    async def _come_into_force(
        self, proposal: Proposal, coming: dict[str, Home], text: str, trigger: Trigger
    ) -> None:
        """Switch: from now on nothing can fail any more."""
        difference = proposal.difference
        generation = Generation(
            self.generation + 1, time.time(), str(trigger), tuple(proposal.changes), text
        )
        models = self.loaded.config.models
        self._now, self.generation = proposal.new, generation.number
        self._put_in_place(proposal.plans, difference, coming)
        try:
            self.history.add(generation)
            self._note.write_text(str(generation.number))
        except OSError as error:
            log.error("generation %d cannot be kept in the history: %s", generation.number, error)
        await self._switch()
        for home in difference.stopped:
            total = models[home.plan.model].timeouts.total or _A_DAY
            self._fleet.part([home], max(total, home.plan.limits.drain_timeout))

    async def propose(self, text: str) -> Proposal:
        """Return what a text would change; nothing is done yet.

        Raises:
            Refusal: It cannot take effect.
        """
        now = self._now
        new = await asyncio.to_thread(self._judge.judge, text, now)
        plans = plan_homes(new.loaded, self._backends, self._limits)
        current = list(self._fleet.current.values())
        difference = await asyncio.to_thread(compare_with_what_runs, new.loaded, current, plans)
        await asyncio.to_thread(refuse_what_cannot_run, new.loaded, difference)
        changes = describe(
            now.written.config,
            new.written.config,
            [home.plan for home in difference.stopped],
            difference.started,
        )
        if not changes and (difference.started or text != now.loaded.text):
            homes = [f"{plan.id}: can run here now" for plan in difference.started]
            changes = homes or ["comments and layout"]
        swapped = [] if self.room is None else plans_to_swap(self.room, difference)
        return Proposal(new, plans, difference, changes, swapped)

    async def read(self) -> str:
        """Return what the file says at the moment.

        Raises:
            Refusal: It cannot be read.
        """
        return await asyncio.to_thread(self._judge.read, self._now)

    def _resume(self) -> int | None:
        """Return the number of the generation that was in force when an earlier supervisor was killed; it is again."""
        try:
            number = int(self._note.read_text())
            kept = self.history.find(number)
        except (OSError, ValueError):
            return None
        if kept is not None and kept.text != self.loaded.text:
            try:
                self._now = self._judge.judge(kept.text, self._now)
            except Refusal as refused:
                log.error("generation %d cannot serve on: %s", number, refused.problems[0])
                return None
        return number

    # ------------------------------------------------------------ the switch

    def _put_in_place(
        self, plans: Sequence[HomePlan], difference: Difference[Home], coming: dict[str, Home]
    ) -> None:
        """Make the homes of the new generation those of the table, in the order of the file."""
        for home, plan in difference.kept:
            home.replan(plan)
            if self.room is not None:
                self.room.recount(home)
        by_id = {plan.id: home for home, plan in difference.kept} | coming
        for home in coming.values():
            self._fleet.coming.remove(home)
        self._fleet.current = {plan.id: by_id[plan.id] for plan in plans}
        self._fleet.leaving += difference.stopped

    def _count(self, result: Result) -> None:
        self.counts[result] += 1

    def _tell(self, outcome: Outcome) -> None:
        if outcome.problems:
            log.error("reload by %s: %s", outcome.trigger, outcome.summary)
            for problem in outcome.problems:
                log.error("%s", problem)
        else:
            log.info("reload by %s: %s", outcome.trigger, outcome.summary)
