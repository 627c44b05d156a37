"""What an operator does to homes by hand: drain, stop, start and restart them."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from hoonify_router.errors import InvalidRequest, ModelNotFound, ModelUnavailable
from hoonify_router.supervisor.commands import Asker, Commands
from hoonify_router.supervisor.holds import Holds
from hoonify_router.supervisor.home import Home
from hoonify_router.types import HomeView

log = logging.getLogger(__name__)

_LOOK = 0.25
_TELL = 5.0
_YEAR = 366 * 86400.0


class Named(Struct, forbid_unknown_fields=True):
    """The arguments of all of them.

    Args:
        name: A model, which means all its homes, or one home.
        timeout: Seconds to wait for the end; what has been begun goes on after it.
    """

    name: Annotated[str, Meta(min_length=1, max_length=300)]
    timeout: Annotated[float, Meta(ge=0, le=_YEAR)] | None = None


class Outcome(Struct, kw_only=True):
    """What has become of one home.

    Args:
        home: Which.
        state: Where it is now.
        in_flight: Requests that are still there.
        done: Whether all that was asked for has come about.
        told: What an operator should know.
    """

    home: str
    state: str
    in_flight: int = 0
    done: bool = True
    told: str = ""


class Traffic(Protocol):
    """Tells what is under way."""

    async def in_flight(self, home: Home) -> int:
        """Return how many requests gateways have at a home, after all of them know its newest state."""


class Maintenance:
    """Does it.

    Args:
        homes: Returns all homes.
        traffic: Tells what is under way.
        ensure_ready: Starts a home as a request would, within the GPU budget.
        holds: Remembers what is out of service.
    """

    def __init__(
        self,
        homes: Callable[[], Iterable[Home]],
        traffic: Traffic,
        ensure_ready: Callable[[str], Awaitable[HomeView]],
        holds: Holds,
    ) -> None:
        self._homes = homes
        self._traffic = traffic
        self._ensure_ready = ensure_ready
        self._holds = holds

    def add_to(self, commands: Commands) -> None:
        """Add the commands."""
        commands.add("drain", self.drain, Named, patience=None)
        commands.add("stop", self.stop, Named, patience=None)
        commands.add("start", self.start, Named, patience=None)
        commands.add("restart", self.restart, Named, patience=None)

    # ------------------------------------------------------------ the commands

    async def drain(self, arguments: Named, asker: Asker) -> list[Outcome]:
        """Give homes no new request and wait until they have none; they stay loaded, and out of service."""
        homes = self._find(arguments.name)
        for home in homes:
            self._hold(home, asker)
        idle = await self._each(homes, self._until_idle, arguments.timeout, asker)
        return [
            self._outcome(home, left == 0, in_flight=left)
            for home, left in zip(homes, idle, strict=True)
        ]

    async def stop(self, arguments: Named, asker: Asker) -> list[Outcome]:
        """Drain homes and end their engines; they stay out of service."""
        homes = self._find(arguments.name)
        for home in homes:
            self._hold(home, asker)
            if not _not_ours(home):
                home.rest(home.plan.limits.drain_timeout)
        left = await self._each(homes, self._until_stopped, arguments.timeout, asker)
        return [
            self._outcome(home, stopped == 0, told=_not_ours(home))
            for home, stopped in zip(homes, left, strict=True)
        ]

    async def start(self, arguments: Named, asker: Asker) -> list[Outcome]:
        """Give homes back to the service and wait until they are ready."""
        homes = self._find(arguments.name)
        for home in homes:
            log.info("%s: started by %s", home.plan.id, asker.who or "an operator")
            self._holds.remove(home.plan.id)
            home.release()
        told = ["It is not ready yet."] * len(homes)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(arguments.timeout):
                told = await asyncio.gather(*(self._bring_up(home, asker) for home in homes))
        return [
            self._outcome(home, home.view.state == "ready", told=words)
            for home, words in zip(homes, told, strict=True)
        ]

    async def restart(self, arguments: Named, asker: Asker) -> list[Outcome]:
        """Stop homes and start them again, one after the other; while one is away, another of its model serves.

        A model with a single home has none meanwhile: requests for it wait.
        """
        homes = self._find(arguments.name)
        ours = [home for home in homes if not _not_ours(home)]
        if not ours:
            raise InvalidRequest(
                f"'{arguments.name}' runs on a server that is not ours to restart."
            )
        outcomes = []
        for home in ours:
            if home.view.held:
                words = "It is out of service; `models start` starts it."
                outcomes.append(self._outcome(home, False, told=words))
                continue
            await self._have_another(home, asker)
            try:
                async with asyncio.timeout(arguments.timeout):
                    words = await self._renew(home, asker)
            except TimeoutError:
                words = "It is not ready again yet."
            outcomes.append(self._outcome(home, home.view.state == "ready", told=words))
            if not outcomes[-1].done:
                break  # its siblings go on serving with what they are
        return outcomes

    # ------------------------------------------------------------ steps

    def _find(self, name: str) -> list[Home]:
        """Return the home of this name, or all homes of the model.

        Raises:
            ModelNotFound: There is neither; it names what is close.
        """
        homes = list(self._homes())
        found = [home for home in homes if home.plan.id == name]
        found = found or [
            home for home in homes if home.plan.model == name and not home.plan.shadow
        ]
        if found:
            return found
        known = sorted({one for home in homes for one in (home.plan.model, home.plan.id)})
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ModelNotFound(f"There is no model or home '{name[:200]}'{hint}", param="name")

    def _hold(self, home: Home, asker: Asker) -> None:
        who = asker.who or "an operator"
        log.info("%s: taken out of service by %s", home.plan.id, who)
        self._holds.add(home.plan.id, who)
        home.hold(who)

    async def _each(
        self,
        homes: list[Home],
        wait: Callable[[Home, Asker], Awaitable[None]],
        timeout: float | None,  # noqa: ASYNC109 - several are waited for together
        asker: Asker,
    ) -> list[int]:
        """Wait for all homes together; return the requests that each still has, 1 where nobody knows."""
        waiting = [asyncio.ensure_future(wait(home, asker)) for home in homes]
        try:
            await asyncio.wait(waiting, timeout=timeout)
            ended = [task.done() and task.exception() is None for task in waiting]
        finally:
            for task in waiting:
                task.cancel()
        return [
            0 if done else max(await self._traffic.in_flight(home), 1)
            for home, done in zip(homes, ended, strict=True)
        ]

    async def _until_idle(self, home: Home, asker: Asker) -> None:
        loop = asyncio.get_running_loop()
        told = loop.time() - _TELL
        while left := await self._traffic.in_flight(home):
            if loop.time() - told >= _TELL:
                told = loop.time()
                asker.tell(f"{home.plan.id}: {left} request{'s' if left > 1 else ''} under way")
            await asyncio.sleep(_LOOK)

    async def _until_stopped(self, home: Home, asker: Asker) -> None:
        if _not_ours(home):
            await self._until_idle(home, asker)
            return
        while home.pid or home.life.state not in ("stopped", "failed", "unavailable"):
            await home.changes(_LOOK)

    async def _bring_up(self, home: Home, asker: Asker) -> str:
        """Start a home that may be in a cool-down; return why it is not ready, if it is not."""
        before, shown = home.life, ""
        home.hurry()
        while home.life.state == "failed" and home.life.starts == before.starts:
            if home.life is not before and _not_ours(home):
                break  # its server has been looked at
            await home.changes(_LOOK)
        waiting = asyncio.ensure_future(self._ensure_ready(home.plan.id))
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=_LOOK)
                stage = home.life.progress
                if stage is not None and stage[0] != shown:
                    shown = stage[0]
                    asker.tell(f"{home.plan.id}: {shown}")
            waiting.result()
        except ModelUnavailable as error:
            detail = home.life.detail.partition("\n")[0]
            return f"{error.message} {detail}".strip()
        finally:
            waiting.cancel()
        return ""

    async def _have_another(self, home: Home, asker: Asker) -> None:
        """See to it that another home of the model is ready, if one can be."""
        others = [
            one
            for one in self._homes()
            if one.plan.model == home.plan.model
            and one.plan.id != home.plan.id
            and not one.held_by
            and one.life.state != "unavailable"
        ]
        if not others or any(one.life.state == "ready" for one in others):
            return
        for other in others:
            asker.tell(f"{other.plan.id}: to be ready before {home.plan.id} stops")
            if not await self._bring_up(other, asker):
                return

    async def _renew(self, home: Home, asker: Asker) -> str:
        starts = home.life.starts
        log.info("%s: restarted by %s", home.plan.id, asker.who or "an operator")
        if home.life.state in ("starting", "loading", "ready"):
            asker.tell(f"{home.plan.id}: stopping")
            home.rest(home.plan.limits.drain_timeout)
            while home.life.starts == starts and home.life.state not in ("stopped", "failed"):
                await home.changes(_LOOK)
        return await self._bring_up(home, asker)

    def _outcome(self, home: Home, done: bool, *, in_flight: int = 0, told: str = "") -> Outcome:
        state = home.view.state
        return Outcome(home=home.plan.id, state=state, done=done, in_flight=in_flight, told=told)


def _not_ours(home: Home) -> str:
    """Return what to say of a home whose server we have not started."""
    if home.plan.home.url is None:
        return ""
    return "Its server is not ours to stop; it gets no requests."
