"""Models whose old and new homes do not fit onto the GPUs together: the old ones go first, and requests wait."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable, Sequence

from hoonify_router.supervisor.difference import Difference
from hoonify_router.supervisor.eviction import Claim
from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.outcomes import Refusal
from hoonify_router.supervisor.plan import HomePlan
from hoonify_router.supervisor.room import Room

log = logging.getLogger(__name__)

_RUNNING = ("starting", "loading", "ready", "draining")


def plans_to_swap(room: Room, difference: Difference[Home]) -> list[HomePlan]:
    """Return the plans of homes for which there is no room before the old ones are gone.

    Homes of other models that are there on demand count as gone: they make room by themselves.

    Raises:
        Refusal: There would be no room even then.
    """
    stopped = set(difference.stopped)
    held = room.claims(
        without=lambda home: (
            home.plan.shadow or not (home.plan.always or home in stopped)  # they make room
        )
    )
    later: list[HomePlan] = []
    for plan in difference.started:
        if plan.shadow or not plan.claim or not (plan.always or _replaces(plan, difference)):
            continue
        if room.budget.fits(held, plan.claim):
            held.append(plan.claim)
        else:
            later.append(plan)
    models = {plan.model for plan in later}
    # Of a model that is swapped, everything is: half of it would only be in the way.
    swapped = [one for one in difference.started if one.model in models and not one.shadow]
    _check_room(room, difference, swapped)
    return swapped


def _check_room(room: Room, difference: Difference[Home], swapped: Sequence[HomePlan]) -> None:
    gone = set(difference.stopped)
    held: list[Claim] = room.claims(without=lambda home: not home.plan.always or home in gone)
    for plan in [one for one in difference.started if one.always or one in swapped]:
        if plan.claim and not room.budget.fits(held, plan.claim):
            told = "there is no room on its GPUs, not even when the old homes are gone"
            raise Refusal("refused", [f"{plan.id} on {plan.backend.name}: {told}"])
        held.append(plan.claim)


def _replaces(plan: HomePlan, difference: Difference[Home]) -> bool:
    """Tell whether a home takes the place of one that serves."""
    return any(
        home.plan.model == plan.model and not home.plan.shadow and home.life.state in _RUNNING
        for home in difference.stopped
    )


class Swap:
    """Takes old homes out of service for a while, and puts them back if nothing comes of it.

    Args:
        republish: Tells gateways that homes have changed.
    """

    def __init__(self, republish: Callable[[], object]) -> None:
        self._republish = republish
        self._over: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Wait until the swap that is under way, if one is, has come to its end."""
        while self._over is not None:
            await asyncio.shield(self._over)

    @contextlib.asynccontextmanager
    async def away(self, homes: Sequence[Home], patience: float) -> AsyncIterator[None]:
        """Let homes finish what they have, and be gone for as long as this lasts; after a failure they come back.

        Args:
            homes: They; requests for them wait.
            patience: Seconds that their requests get to finish.
        """
        plans = {home: home.plan for home in homes}
        self._over = asyncio.get_running_loop().create_future()
        try:
            for home, plan in plans.items():
                home.moving = True
                home.plan = dataclasses.replace(plan, always=False)  # or it starts again at once
                home.rest(patience)
                log.info("%s: its home on %s makes way first", plan.id, plan.backend.name)
            self._republish()
            for home in homes:
                await home.until_at_rest()
            yield
        except BaseException:
            for home, plan in plans.items():
                home.moving = False
                home.replan(plan)
            raise
        finally:
            self._over.set_result(None)
            self._over = None
            self._republish()
