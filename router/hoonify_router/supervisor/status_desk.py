"""Who asks how the router does is answered here: ``status`` and ``homes``."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from hoonify_router import __version__
from hoonify_router.supervisor.commands import Asker, Commands, NoArguments
from hoonify_router.supervisor.control import ControlServer
from hoonify_router.supervisor.gpus import Gpus
from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.messages import HomeStatus
from hoonify_router.supervisor.reload import Reloader
from hoonify_router.supervisor.snapshot import (
    ERRORS,
    describe_models,
    last_errors,
    read_tallies,
    whole,
)
from hoonify_router.tally import traffic_of
from hoonify_router.types.status import ErrorSnapshot, Snapshot


class StatusDesk:
    """Answers.

    Args:
        control: Asks the gateways what they have counted.
        reloader: Knows the configuration.
        homes: Returns the homes of the table.
        address: Base URL of the door.

    Attributes:
        errors: The last homes that failed.
        notes: What else an operator should know, by topic: why the last reload was refused, say.
    """

    def __init__(
        self,
        control: ControlServer,
        reloader: Reloader,
        homes: Callable[[], Iterable[Home]],
        address: str,
    ) -> None:
        self.errors: deque[ErrorSnapshot] = deque(maxlen=ERRORS)
        self.notes: dict[str, str] = {}
        self._control = control
        self._reloader = reloader
        self._homes = homes
        self._address = address
        self._gpus = Gpus()
        self._began = time.monotonic()

    def add_to(self, commands: Commands) -> None:
        """Add the commands."""
        commands.add("homes", self._tell_homes)
        commands.add("status", self._tell_status)
        commands.add("plugins", self._tell_plugins)

    def failed(self, home: str, reason: str) -> None:
        """Take down that a home has failed."""
        self.errors.append(ErrorSnapshot(at=time.time(), home=home, kind="Failed", what=reason))

    async def _tell_homes(self, arguments: NoArguments, asker: Asker) -> list[HomeStatus]:
        return statuses_of(self._homes())

    async def _tell_plugins(self, arguments: NoArguments, asker: Asker) -> list[Any]:
        """Return what each gateway tells of its middleware."""
        return await self._control.ask_gateways("plugins")

    async def _tell_status(self, arguments: NoArguments, asker: Asker) -> Snapshot:
        told, gpus = await asyncio.gather(self._control.ask_gateways("tallies"), self._gpus.read())
        gateways = read_tallies(told)
        sum_of_all = whole(gateways)
        loaded = self._reloader.loaded
        return Snapshot(
            version=__version__,
            at=time.time(),
            config=loaded.name or str(loaded.path),
            address=self._address,
            generation=self._control.table.generation,
            reload=self._reloader.last,
            uptime=round(time.monotonic() - self._began, 1),
            gateways=self._control.gateways,
            gateways_heard=len(gateways),
            models=describe_models(loaded.config.models, statuses_of(self._homes()), gateways),
            gpus=gpus,
            errors=last_errors(self.errors, gateways),
            notes=list(self.notes.values()),
            traffic=traffic_of(sum_of_all),
            in_flight=sum_of_all.in_flight,
        )


def statuses_of(homes: Iterable[Home]) -> list[HomeStatus]:
    """Return what an operator may know of homes; no secret is in it."""
    now = asyncio.get_running_loop().time()
    return [
        HomeStatus(
            msgspec.structs.replace(home.view, api_key=""),
            home.pid,
            home.life.starts,
            now - home.life.since if home.life.since else 0.0,
            home.health,
        )
        for home in homes
    ]
