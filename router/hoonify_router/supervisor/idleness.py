"""Homes that nobody uses: how long that has been so, and ``idle_stop:``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.uses import Uses

log = logging.getLogger(__name__)

_INTERVAL = 0.5


def is_busy(home: Home, uses: Uses) -> bool:
    """Tell whether somebody has a request there or waits for it, by gateways and by the engine's own word."""
    at_work = home.health.running or home.health.queued
    return bool(at_work or home.waiting or uses.in_flight(home.key))


def last_use(home: Home, uses: Uses) -> float:
    """Return since when a home that is not busy has had nothing to do."""
    return max(home.life.since, uses.last(home.key))


async def stop_what_is_idle(homes: Callable[[], Iterable[Home]], uses: Uses) -> None:
    """Look after ``idle_stop:`` for as long as the supervisor lives.

    A request that comes at the very moment is not lost: the engine turns it away unseen, and it waits for
    the next start.
    """
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_INTERVAL)
        now = loop.time()
        for home in homes():
            plan = home.plan
            if not plan.idle_stop or plan.always or home.life.state != "ready":
                continue
            if not is_busy(home, uses) and now - last_use(home, uses) >= plan.idle_stop:
                log.info("%s: no request for %g s; it is stopped", plan.id, plan.idle_stop)
                home.rest(plan.limits.drain_timeout)
