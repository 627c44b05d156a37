"""How gateways and the command line speak to the supervisor."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from hoonify_router.config import Config
from hoonify_router.errors import ModelUnavailable
from hoonify_router.protocol import FrameReader, FrameTooLarge, encode_frame
from hoonify_router.supervisor.commands import Commands
from hoonify_router.supervisor.conversation import GONE, Conversation
from hoonify_router.supervisor.messages import (
    Adopted,
    AskStatus,
    EnsureReady,
    FromSupervisor,
    IsReady,
    IsUnavailable,
    Join,
    Role,
    Status,
    Table,
    Used,
)
from hoonify_router.supervisor.uses import Counts
from hoonify_router.types import HomeView, RoutingTable

log = logging.getLogger(__name__)

_RETRY = 0.05
_RETRY_MAX = 1.0
_TELL_USES = 1.0


class SupervisorClient:
    """A connection to the supervisor that comes back by itself.

    Args:
        socket_path: Where the supervisor listens.
        on_table: Called on the event loop with every new routing table.
        role: Who speaks; only gateways count as open doors.
        commands: What the supervisor may ask for.
        uses: Returns the requests that each home has now, and has ever had.
        on_config: Called before ``on_table`` with the number and the configuration of a generation that is new here.
    """

    def __init__(
        self,
        socket_path: Path | str,
        on_table: Callable[[RoutingTable], None],
        *,
        role: Role = "gateway",
        commands: Commands | None = None,
        uses: Callable[[], Counts] = dict,
        on_config: Callable[[int, Config], None] | None = None,
    ) -> None:
        self._commands = commands or Commands()
        self._uses = uses
        self._on_config = on_config
        self.table = RoutingTable(0, ())
        self._path = str(socket_path)
        self._on_table = on_table
        self._role: Role = role
        self._link: _Link | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Return whether the supervisor is there now."""
        return self._link is not None and not self._link.lost.done()

    async def connect(self, patience: float = 30.0) -> None:
        """Connect and wait for the first table; keep the connection from then on.

        Args:
            patience: How long to wait for a supervisor that is not there yet.

        Raises:
            OSError: Nobody listens there.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience
        pause = _RETRY
        while True:
            try:
                link = await self._join()
                break
            except OSError:
                if loop.time() + pause > give_up:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_MAX)
        self._keeper = asyncio.create_task(self._keep(link))

    async def ensure_ready(self, home_id: str) -> HomeView:
        """Start the home if need be and return it once it is ready.

        Raises:
            ModelUnavailable: It cannot be ready, or not soon.
        """
        answer = await self._ask(lambda call: EnsureReady(call, home_id))
        if isinstance(answer, IsUnavailable):
            raise ModelUnavailable(answer.message, retry_after=answer.retry_after)
        return cast(IsReady, answer).home

    async def status(self) -> Status:
        """Return what an operator may know of the homes.

        Raises:
            ModelUnavailable: The supervisor is not there.
        """
        return cast(Status, await self._ask(AskStatus))

    async def ask(
        self,
        command: str,
        arguments: Mapping[str, Any] | msgspec.Struct | None = None,
        *,
        who: str = "",
        patience: float | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> Any:
        """Ask the supervisor for a command and return its answer as plain data; see ``commands``.

        Args:
            command: Its name.
            arguments: What it takes.
            who: Whom it is for: ``user ada``, ``key k_1234``.
            patience: Seconds to wait; ``None`` is as long as the supervisor is there.
            tell: Called with each line about it meanwhile.

        Raises:
            RouterError: What the supervisor says, or that it is not there.
        """
        if self._link is None or self._link.lost.done():
            raise ModelUnavailable(GONE, retry_after=1)
        return await self._link.conversation.ask(
            command, arguments, who=who, patience=patience, tell=tell
        )

    def close(self) -> None:
        """Close the connection for good."""
        if self._keeper is not None:
            self._keeper.cancel()
        if self._link is not None:
            self._link.close()

    async def _ask(self, make: Callable[[int], msgspec.Struct]) -> Any:
        if self._link is None:
            raise ModelUnavailable(GONE, retry_after=1)
        return await self._link.ask(make)

    async def _join(self) -> _Link:
        loop = asyncio.get_running_loop()
        _, link = await loop.create_unix_connection(
            lambda: _Link(self._role, self._take, self._commands, self._uses), self._path
        )
        self._link = link
        await link.joined
        return link

    def _take(self, table: RoutingTable, config: Config | None) -> None:
        self.table = table
        try:
            if config is not None and self._on_config is not None:
                self._on_config(table.generation, config)
        except Exception:
            log.exception("generation %d was not taken over", table.generation)
        try:
            self._on_table(table)
        except Exception:
            log.exception("a new routing table was not taken over")

    async def _keep(self, link: _Link) -> None:
        while True:
            await asyncio.shield(link.lost)
            pause = _RETRY
            while True:
                try:
                    link = await self._join()
                    break
                except OSError:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _RETRY_MAX)


class _Link(asyncio.Protocol):
    """One connection, as long as it lasts."""

    def __init__(
        self,
        role: Role,
        on_table: Callable[[RoutingTable, Config | None], None],
        commands: Commands,
        uses: Callable[[], Counts],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.conversation = Conversation(commands, self._send)
        self.joined: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self._role: Role = role
        self._on_table = on_table
        self._uses = uses
        self._told: dict[str, tuple[int, int]] = {}
        self._telling: asyncio.TimerHandle | None = None
        self._calls = itertools.count(1)
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._reader = FrameReader(msgspec.msgpack.Decoder(FromSupervisor))
        self._encoder = msgspec.msgpack.Encoder()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send(Join(self._role, os.getpid()))

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._reader.feed(data)
        except (FrameTooLarge, msgspec.MsgspecError, ValueError):
            log.exception("the supervisor breaks the protocol")
            self.close()
            return
        for frame in frames:
            if isinstance(frame, Table):
                self._on_table(frame.table, frame.config)
                if frame.config is not None:
                    self._send(Adopted(frame.table.generation))
                self._tell_uses()
                if not self.joined.done():
                    self.joined.set_result(None)
            elif isinstance(frame, IsReady | IsUnavailable | Status):
                answer = self._open.pop(frame.call, None)
                if answer is not None and not answer.done():
                    answer.set_result(frame)
            else:
                self.conversation.hear(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._telling is not None:
            self._telling.cancel()
        if not self.joined.done():
            self.joined.set_exception(ConnectionResetError("the supervisor has left"))
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(ModelUnavailable(GONE, retry_after=1))
        self._open.clear()
        self.conversation.end()
        if not self.lost.done():
            self.lost.set_result(None)

    def _tell_uses(self) -> None:
        """Tell what has changed, now and every second."""
        if self._telling is not None:
            self._telling.cancel()
        if self._role != "gateway" or self._transport is None:
            return
        loop = asyncio.get_running_loop()
        self._telling = loop.call_later(_TELL_USES, self._tell_uses)
        news = {
            home: counts
            for home, counts in self._uses().items()
            if self._told.get(home, (0, 0)) != counts
        }
        if news:
            self._told.update(news)
            self._send(Used(news))

    async def ask(self, make: Callable[[int], msgspec.Struct]) -> Any:
        """Send a question and wait for its answer."""
        if self._transport is None:
            raise ModelUnavailable(GONE, retry_after=1)
        call = next(self._calls)
        answer = self._open[call] = asyncio.get_running_loop().create_future()
        try:
            self._send(make(call))
            return await answer
        finally:
            self._open.pop(call, None)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _send(self, frame: msgspec.Struct) -> None:
        if self._transport is not None:
            self._transport.write(encode_frame(frame, self._encoder))
