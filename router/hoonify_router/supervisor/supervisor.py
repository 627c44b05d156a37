"""The supervisor: it brings all homes to life, tells everyone of them, and takes them down in the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from hoonify_router import runfile
from hoonify_router.api import BackendEvent, PluginContext, ServerBackend
from hoonify_router.config import ModelConfig
from hoonify_router.errors import ModelUnavailable
from hoonify_router.loader import Plugins, review_change
from hoonify_router.supervisor.banner import Banner
from hoonify_router.supervisor.budget import Budget
from hoonify_router.supervisor.commands import Commands
from hoonify_router.supervisor.comparison import ComparisonDesk
from hoonify_router.supervisor.console import Console
from hoonify_router.supervisor.control import ControlServer
from hoonify_router.supervisor.engine_home import EngineHome
from hoonify_router.supervisor.fleet import Fleet, check_life
from hoonify_router.supervisor.generations import History
from hoonify_router.supervisor.holds import Holds
from hoonify_router.supervisor.home import Home, UnavailableHome
from hoonify_router.supervisor.idleness import stop_what_is_idle
from hoonify_router.supervisor.launch_draw import FOLDERS
from hoonify_router.supervisor.launched_home import LaunchedHome
from hoonify_router.supervisor.lifecycle import Limits
from hoonify_router.supervisor.load_times import LoadTimes
from hoonify_router.supervisor.maintenance import Maintenance
from hoonify_router.supervisor.memory import GpuMemory, NvidiaSmi
from hoonify_router.supervisor.messages import HomeStatus
from hoonify_router.supervisor.outcomes import Outcome, Trigger
from hoonify_router.supervisor.plan import HomePlan, plan_homes, why_unavailable
from hoonify_router.supervisor.preview import Knowledge
from hoonify_router.supervisor.reload import Reloader
from hoonify_router.supervisor.reload_commands import ReloadCommands
from hoonify_router.supervisor.room import Room
from hoonify_router.supervisor.server_home import ServerHome
from hoonify_router.supervisor.status_desk import StatusDesk, statuses_of
from hoonify_router.supervisor.worker_home import WorkerHome
from hoonify_router.types import HomeView, RoutingTable

log = logging.getLogger(__name__)

SOCKET_NAME = "supervisor.sock"
_BANNER = "banner"
_GENERATION = "generation"
_RELOAD = "reload"
_ADOPTION = 60.0  # seconds for a gateway to take over a generation; it takes milliseconds
_PROGRESS_INTERVAL = 0.2  # news of a load may wait so long; a new state never waits
_REFRESH_INTERVAL = 1.0  # while a cool-down runs, its rest is told again this often
_IDLE_INTERVAL = 0.1
_LAST_WORDS = 1.0  # what is cut is told so, and its slots come free
_ONE_PRESS = 1.0  # a terminal and the main process both pass on one Ctrl-C


class Supervisor:
    """Runs all homes of one configuration.

    Args:
        context: The configuration, and what plugins want to announce.
        plugins: All plugins.
        runtime_dir: Private folder for sockets.
        address: Base URL of the door, for the banner.
        console: Where the operator reads.
        limits: How long things may take, where the configuration does not say.
        memory: What is known of the GPUs here.

    Attributes:
        commands: What the command line and the admin routes may ask for.
    """

    def __init__(
        self,
        context: PluginContext,
        plugins: Plugins,
        *,
        runtime_dir: Path,
        address: str,
        console: Console,
        limits: Limits,
        memory: GpuMemory | None = None,
    ) -> None:
        self._context = context
        self._plugins = plugins
        self._runtime_dir = runtime_dir
        self._address = address
        self._console = console
        self._loop = asyncio.get_running_loop()
        self._publishing: asyncio.TimerHandle | None = None
        self._told: dict[str, str] = {}
        self._greeted = (runtime_dir / f"{_BANNER}.done").exists()
        if self._greeted:  # by an earlier supervisor, which was killed
            console.hush()
        self._stopping = asyncio.Event()
        self._stop_began = 0.0
        self._hurried = asyncio.Event()
        self.commands = Commands()
        self._control = ControlServer(
            self._ensure_ready, self._status, self._gateways_changed, self.commands
        )
        self._holds = holds = Holds(runtime_dir / "held.json")
        self._load_times = LoadTimes(context.loaded.state_dir)
        self._fleet = Fleet(self._take_in)
        loaded = context.loaded
        self._reloader = Reloader(
            self._fleet,
            loaded,
            plugins,
            limits,
            History(loaded.state_dir, loaded.path),
            note=runtime_dir / _GENERATION,
            switch=self._switch,
            tell=self._reloaded,
            republish=self._publish,
        )
        loaded = self._reloader.loaded
        plans = plan_homes(loaded, plugins.backends, limits)
        memory = memory or NvidiaSmi()
        server = loaded.config.server
        self._room = Room(
            Budget.of(loaded, memory, [plan.claim for plan in plans]),
            memory,
            self._control.uses,
            server.gpu_turn,
            server.gpu_patience,
        )
        self._reloader.room = self._room
        for plan in plans:
            self._fleet.current[plan.id] = self._fleet.make(plan)
        self._desk = StatusDesk(self._control, self._reloader, self._homes_now, address)
        self._desk.add_to(self.commands)
        ComparisonDesk(self._control, self._models, self._homes_now).add_to(self.commands)
        Maintenance(self._homes_now, self, self._ensure_ready, holds).add_to(self.commands)
        known = Knowledge.of(self._room, self._control.uses, self._load_times)
        review = partial(review_change, plugins, context)
        ReloadCommands(self._reloader, known, review).add_to(self.commands)

    async def run(self) -> None:
        """Serve until ``stop`` is called, then take everything down.

        Raises:
            OSError: The control socket cannot be opened.
        """
        self.remove_remains()  # of an earlier supervisor, which was killed
        await self._control.listen(self._runtime_dir / SOCKET_NAME)
        self._control.config = self._reloader.loaded.config
        self._publish()
        self._fleet.launch(self._fleet.current.values())
        tasks = [
            asyncio.create_task(self._reloader.run(), name="reload"),
            asyncio.create_task(self._reloader.watch(), name="watch"),
            asyncio.create_task(
                stop_what_is_idle(self._homes_now, self._control.uses), name="idle_stop"
            ),
        ]
        for task in tasks:
            task.add_done_callback(check_life)
        try:
            self._greet_when_settled()
            await self._stopping.wait()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._let_gateways_finish()
            await self._fleet.end()
        finally:
            for task in tasks:
                task.cancel()
            self.kill()
            self._console.close()
            if self._publishing is not None:
                self._publishing.cancel()
            await self._control.close()

    def stop(self) -> None:
        """Begin to stop; asked again later, stop without waiting for running requests."""
        now = self._loop.time()
        if not self._stopping.is_set():
            self._stop_began = now
            self._stopping.set()
            log.info("stopping; running requests may finish")
        elif now - self._stop_began >= _ONE_PRESS and not self._hurried.is_set():
            self._hurried.set()
            log.warning("stopping at once")
            self.kill()

    def kill(self) -> None:
        """Kill all engines; they have no time to say goodbye and are not started again."""
        self._fleet.kill()

    def reload(self, how: str, who: str = "") -> None:
        """Take over what the configuration file says now, in the background."""
        self._reloader.ask(Trigger(how, who))

    def remove_remains(self) -> None:
        """Remove whatever sockets and files of servers are in the folder; it is ours alone."""
        for folder in self._runtime_dir.glob(FOLDERS):
            shutil.rmtree(folder, ignore_errors=True)
        for path in self._runtime_dir.glob("*.sock"):
            with contextlib.suppress(OSError):
                path.unlink()

    # ------------------------------------------------------------ homes

    def _take_in(self, plan: HomePlan, number: int) -> Home:
        home = self._make(plan, number)
        home.expected_load = self._load_times.expected(plan)
        home.on_loaded = self._loaded
        home.on_rest = self._withdraw
        if isinstance(home, EngineHome):
            home.room = self._room
        if who := self._holds.by(plan.id):
            home.hold(who)
        return home

    async def _withdraw(self) -> None:
        """Wait until every gateway knows what is about to rest: it answers after it has read the table."""
        self._publish()
        await self._control.ask_gateways("in_flight")

    def _loaded(self, home: Home, seconds: float) -> None:
        self._load_times.learn(home.plan, seconds)
        home.expected_load = self._load_times.expected(home.plan)

    def _make(self, plan: HomePlan, number: int) -> Home:
        why = why_unavailable(self._context.loaded, plan)
        self._room.budget.cover(plan.claim)
        why = why or self._room.budget.why_never(plan.claim)
        if why is not None:
            return UnavailableHome(plan, self._changed, why)
        if plan.home.url is not None:
            return ServerHome(plan, self._changed)
        if isinstance(plan.backend, ServerBackend):
            return LaunchedHome(plan, self._changed, self._runtime_dir)
        return WorkerHome(plan, self._changed, self._runtime_dir, number)

    async def in_flight(self, home: Home) -> int:
        """Return how many requests gateways have at a home, after all of them know its newest state."""
        self._publish()
        return await self._control.in_flight(home.view.key)

    async def _ensure_ready(self, home_id: str) -> HomeView:
        home = self._homes.get(home_id)
        if home is not None and home.moving:  # who asks now waits for its successor
            await self._reloader.swap.wait()
            home = self._homes.get(home_id)
        if home is None:
            raise ModelUnavailable("The router does not know this home.")
        return await home.ensure_ready()

    def _status(self) -> list[HomeStatus]:
        return statuses_of(self._homes_now())

    @property
    def _homes(self) -> dict[str, Home]:
        """Return the homes of the table by their ids."""
        return self._fleet.current

    def _models(self) -> Mapping[str, ModelConfig]:
        return self._reloader.loaded.config.models

    def _homes_now(self) -> list[Home]:
        return list(self._homes.values())

    async def _switch(self) -> None:
        """Publish a new generation, and wait until no gateway sends anything to the old one's homes."""
        self._publish()
        for home in self._homes.values():
            self._changed(home)
        if not await self._control.adopted(_ADOPTION):
            log.error("a gateway has not taken over generation %d", self._reloader.generation)

    # ------------------------------------------------------------ telling

    def _reloaded(self, outcome: Outcome) -> None:
        """Tell everyone how a reload has ended."""
        self._desk.notes.pop(_RELOAD, None)
        if outcome.problems:
            self._desk.notes[_RELOAD] = f"the last reload: {outcome.summary}"
        self._publish()

    def _changed(self, home: Home) -> None:
        view = home.view
        self._room.look()
        if self._homes.get(view.id) is not home:
            return  # it is not in the table yet, or no more
        new_state = self._told.get(view.id) != view.state
        self._publish_soon(0.0 if new_state else _PROGRESS_INTERVAL)
        self._console.update(view)
        if new_state:
            self._told[view.id] = view.state
            if view.state == "failed":
                self._desk.failed(view.id, view.reason)
            shown = msgspec.structs.replace(view, api_key="")
            event = BackendEvent(shown, self._reloader.generation)
            self._plugins.notify("hoonify_backend_event", event=event)
            self._greet_when_settled()

    def _publish_soon(self, delay: float) -> None:
        when = self._loop.time() + delay
        if self._publishing is not None:
            if self._publishing.when() <= when:
                return
            self._publishing.cancel()
        self._publishing = self._loop.call_at(when, self._publish)

    def _publish(self) -> None:
        if self._publishing is not None:
            self._publishing.cancel()
            self._publishing = None
        homes = tuple(home.view for home in self._homes.values())
        reloader = self._reloader
        table = RoutingTable(reloader.generation, homes, reloader.counts.copy())
        self._control.publish(table, reloader.loaded.config)
        if any(home.counts_down for home in self._homes.values()):
            self._publish_soon(_REFRESH_INTERVAL)

    def _gateways_changed(self, count: int) -> None:
        self._greet_when_settled()

    def _greet_when_settled(self) -> None:
        """Show the banner once a gateway is there and each home that always runs has a result."""
        if self._greeted or self._stopping.is_set() or not self._control.gateways:
            return
        homes = self._homes.values()
        if not all(home.settled for home in homes if home.plan.always):
            return
        self._greeted = True
        runfile.first_time(self._runtime_dir, _BANNER)
        self._console.greet(
            Banner(
                self._address,
                [home.view for home in homes],
                self._context.announcements,
                bool(self._reloader.loaded.config.pipeline),
            )
        )

    # ------------------------------------------------------------ stopping

    async def _let_gateways_finish(self) -> None:
        """Wait, with a limit, until no gateway needs an engine any more.

        That is when all have left, or when every engine has told, after the stop began, that it has
        nothing to do.
        """
        everyone = self._fleet.everyone
        give_up = self._stop_began + self._reloader.loaded.config.stop_patience + _LAST_WORDS
        while self._control.gateways and not self._hurried.is_set():
            now = self._loop.time()
            heard = now - self._stop_began > 2 * _ONE_PRESS
            if now > give_up or (heard and not any(map(_busy, everyone))):
                return
            await asyncio.sleep(_IDLE_INTERVAL)


def _busy(home: Home) -> bool:
    return bool(home.health.running or home.health.queued)
