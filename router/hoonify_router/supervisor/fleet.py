"""All homes that live: those of the routing table, those that will be in the next one, and those that leave."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import os
from collections.abc import Callable, Iterable

from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.plan import HomePlan

log = logging.getLogger(__name__)


class Fleet:
    """Brings homes to life and takes them down.

    Args:
        make: Makes a home from a plan and a number of its own.

    Attributes:
        current: Homes of the routing table by their ids.
        coming: Homes that are being made ready for the next generation.
        leaving: Homes that finish what they have, for nobody sends them anything new.
    """

    def __init__(self, make: Callable[[HomePlan, int], Home]) -> None:
        self.current: dict[str, Home] = {}
        self.coming: list[Home] = []
        self.leaving: list[Home] = []
        self._make = make
        self._numbers = itertools.count()
        self._lives: dict[Home, asyncio.Task[None]] = {}
        self._ending = False

    @property
    def everyone(self) -> list[Home]:
        """Return all homes that live."""
        return [*self.current.values(), *self.coming, *self.leaving]

    def make(self, plan: HomePlan) -> Home:
        """Return a new home; nothing of it runs yet."""
        number = next(self._numbers)
        home = self._make(plan, number)
        home.uid = f"{os.getpid()}-{number}"
        return home

    def launch(self, homes: Iterable[Home]) -> None:
        """Let homes live; those that do already are left alone."""
        for home in homes:
            if home in self._lives:
                continue
            life = asyncio.create_task(home.run(), name=home.plan.id)
            self._lives[home] = life
            life.add_done_callback(check_life)
            if self._ending:
                home.stop()

    def part(self, homes: Iterable[Home], patience: float | None = None) -> None:
        """Let homes finish what they have and end; they are no part of the table any more.

        Args:
            homes: They.
            patience: Seconds that they may take; default: as long as whenever they stop.
        """
        for home in homes:
            if home in self.coming:
                self.coming.remove(home)
            if home not in self.leaving:
                self.leaving.append(home)
            self.stop(home, patience)
            life = self._lives.get(home)
            if life is None:
                self.leaving.remove(home)
            else:
                life.add_done_callback(lambda _, home=home: self._gone(home))  # type: ignore[misc]

    def stop(self, home: Home, patience: float | None = None) -> None:
        """Tell a home to end, once what it has is done or ``patience`` is over."""
        if patience is not None:
            limits = dataclasses.replace(home.plan.limits, drain_timeout=patience)
            home.plan = dataclasses.replace(home.plan, limits=limits)
        home.stop()

    async def gone(self, home: Home) -> None:
        """Wait until nothing of a home runs any more."""
        life = self._lives.get(home)
        if life is not None:
            await asyncio.wait({life})

    async def end(self) -> None:
        """Stop all homes and wait until they have ended."""
        self._ending = True
        for home in self.everyone:
            home.stop()
        while self._lives:
            await asyncio.wait(set(self._lives.values()))
            self._lives = {home: life for home, life in self._lives.items() if not life.done()}

    def kill(self) -> None:
        """Kill all engines; they are not started again."""
        self._ending = True
        for home in self.everyone:
            home.stop()
            home.kill()

    def _gone(self, home: Home) -> None:
        self._lives.pop(home, None)
        if home in self.leaving:
            self.leaving.remove(home)
            log.info("%s: its old home on %s has ended", home.plan.id, home.plan.backend.name)


def check_life(life: asyncio.Task[None]) -> None:
    """Say so loudly when a task that should never fail has failed."""
    if not life.cancelled() and (error := life.exception()) is not None:
        log.critical("%s: its controller failed", life.get_name(), exc_info=error)
