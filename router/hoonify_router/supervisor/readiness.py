"""Make the homes of the next generation ready while those of the present one serve."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection, Sequence

from hoonify_router.config import LoadedConfig
from hoonify_router.errors import ModelUnavailable
from hoonify_router.supervisor.difference import Difference, compare
from hoonify_router.supervisor.fleet import Fleet
from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.lifecycle import Trouble
from hoonify_router.supervisor.outcomes import Refusal
from hoonify_router.supervisor.plan import HomePlan, why_unavailable
from hoonify_router.supervisor.server_warm_up import warm_up_server


def compare_with_what_runs(
    loaded: LoadedConfig, homes: Sequence[Home], plans: Sequence[HomePlan]
) -> Difference[Home]:
    """Compare by identity; but a home that could not run here and now can is a new one."""
    found = compare(homes, plans)
    healed = [
        (home, plan)
        for home, plan in found.kept
        if home.life.state == "unavailable" and why_unavailable(loaded, plan) is None
    ]
    return dataclasses.replace(
        found,
        kept=tuple(pair for pair in found.kept if pair not in healed),
        stopped=(*found.stopped, *(home for home, _ in healed)),
        started=(*found.started, *(plan for _, plan in healed)),
    )


def refuse_what_cannot_run(loaded: LoadedConfig, difference: Difference[Home]) -> None:
    """Refuse to move a model away from a home that can run to one that cannot run here.

    Raises:
        Refusal: That is what is wanted.
    """
    able = {
        home.plan.model
        for home in difference.stopped
        if home.life.state != "unavailable" and not home.plan.shadow
    }
    problems = []
    for plan in difference.started:
        why = why_unavailable(loaded, plan)  # of all: it may take a moment, and is remembered
        if why is not None and plan.model in able and not plan.shadow:
            told = f"models.{plan.model}: cannot run here: {why.reason} {why.detail}".rstrip()
            problems.append(loaded.locate(told))
    if problems:
        raise Refusal("refused", problems)


def models_in_service(difference: Difference[Home]) -> frozenset[str]:
    """Return the models that have a running home among those that stop."""
    return frozenset(
        home.plan.model
        for home in difference.stopped
        if home.life.state in ("starting", "loading", "ready") and not home.plan.shadow
    )


async def make_ready(
    fleet: Fleet,
    plans: Sequence[HomePlan],
    busy: Collection[str],
    *,
    beside: Collection[Home] = (),
) -> dict[str, Home]:
    """Return the new homes by their ids; those that are to serve at once have answered.

    When it fails, or is cancelled, what it has begun is still in ``fleet.coming``.

    Args:
        fleet: Where they live.
        plans: Of the homes that are to be made ready now.
        busy: Models that are in service: their new homes are to serve at once, even those that start on demand.
        beside: Homes that have been made ready already.

    Raises:
        Refusal: One of them does not come up.
    """
    coming = _bring(fleet, plans, beside)
    for home in coming.values():
        if home.plan.shadow:
            continue
        if home.life.state == "unavailable" and home.plan.model in busy:
            told = f"{home.life.reason} {home.life.detail}".strip()
            raise Refusal("refused", [f"{home.plan.id} on {home.plan.backend.name}: {told}"])
    fleet.launch(coming.values())
    await _wait_until_ready(
        [
            home
            for home in coming.values()
            if home.life.state != "unavailable"
            and not (home.held_by or home.plan.shadow)
            and (home.plan.always or home.plan.model in busy)
        ]
    )
    return coming


async def _wait_until_ready(homes: Sequence[Home]) -> None:
    """Wait until all of them have answered.

    Raises:
        Refusal: One of them does not come up.
    """
    tasks = [asyncio.create_task(_until_ready(home)) for home in homes]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _bring(fleet: Fleet, plans: Sequence[HomePlan], beside: Collection[Home]) -> dict[str, Home]:
    """Return a home for each plan; one that an overtaken edit has begun to make ready is taken on."""
    left = [home for home in fleet.coming if home not in beside]
    coming: dict[str, Home] = {}
    for plan in plans:
        begun = next((one for one in left if one.plan.identity == plan.identity), None)
        if begun is not None and begun.life.state != "failed":
            left.remove(begun)
            begun.replan(plan)
            coming[plan.id] = begun
    fleet.part(left)
    for plan in plans:
        if plan.id not in coming:
            home = coming[plan.id] = fleet.make(plan)
            fleet.coming.append(home)
    return coming


async def _until_ready(home: Home) -> None:
    """Wait for a home and for its first answer.

    Raises:
        Refusal: It does not come up.
    """
    try:
        view = await home.ensure_ready()
        if home.plan.home.url is not None:
            await warm_up_server(view, home.plan.backend)
    except ModelUnavailable as error:
        view = home.view
        told = f"{view.reason} {view.detail.partition(chr(10))[0]}".strip() or error.message
    except Trouble as trouble:
        told = f"{trouble.reason} {trouble.detail}".strip()
    else:
        return
    raise Refusal("failed", [f"{home.plan.id} on {home.plan.backend.name}: {told}"])
