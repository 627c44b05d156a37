"""The supervisor's socket: tables to all gateways, answers to whoever asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct

from hoonify_router.config import Config
from hoonify_router.errors import ModelUnavailable
from hoonify_router.protocol import FrameReader, FrameTooLarge, encode_frame
from hoonify_router.supervisor.commands import Commands
from hoonify_router.supervisor.conversation import Conversation
from hoonify_router.supervisor.messages import (
    Adopted,
    AskStatus,
    EnsureReady,
    HomeStatus,
    IsReady,
    IsUnavailable,
    Join,
    Status,
    Table,
    ToSupervisor,
    Used,
)
from hoonify_router.supervisor.uses import Uses
from hoonify_router.types import HomeView, RoutingTable
from hoonify_router.worker.listener import listen_privately

log = logging.getLogger(__name__)

_GATEWAY_PATIENCE = 2.0
_GATEWAY_GONE = "The gateway has left."


class ControlServer:
    """Publishes routing tables and answers questions on a unix socket.

    Args:
        ensure_ready: Starts a home and waits for it.
        status: Returns what an operator may know of each home.
        on_gateways: Called with the number of gateways whenever it changes.
        commands: What else may be asked for.

    Attributes:
        uses: What the gateways tell of the homes.
        table: The newest table.
        config: The configuration of its generation.
    """

    def __init__(
        self,
        ensure_ready: Callable[[str], Awaitable[HomeView]],
        status: Callable[[], list[HomeStatus]],
        on_gateways: Callable[[int], None],
        commands: Commands | None = None,
    ) -> None:
        self.commands = commands or Commands()
        self.table = RoutingTable(0, ())
        self.uses = Uses()
        self.config: Config | None = None
        self._adopting: asyncio.Future[None] | None = None
        self._ensure_ready = ensure_ready
        self._status = status
        self._on_gateways = on_gateways
        self._members: set[_Member] = set()
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    @property
    def gateways(self) -> int:
        """Return how many gateways are connected."""
        return sum(member.role == "gateway" for member in self._members)

    async def listen(self, path: Path) -> None:
        """Open the socket.

        Raises:
            OSError: It cannot be opened.
        """
        listener = listen_privately(path)
        self._path = path
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Member(self), sock=listener)

    def publish(self, table: RoutingTable, config: Config | None = None) -> None:
        """Send a new table to everyone; who does not read gets the newest one later.

        Args:
            table: It.
            config: The configuration of its generation, if that is new.
        """
        self.table = table
        self.config = config or self.config
        for member in tuple(self._members):
            member.tell_table()

    async def adopted(self, patience: float) -> bool:
        """Wait until all gateways have taken over the newest generation; tell whether they have.

        Args:
            patience: Seconds to wait.
        """
        try:
            async with asyncio.timeout(patience):
                while any(one.is_behind for one in self._members):
                    self._adopting = asyncio.get_running_loop().create_future()
                    await self._adopting
        except TimeoutError:
            return False
        return True

    def note_adopted(self) -> None:
        """Look again who has taken over the newest generation."""
        if self._adopting is not None and not self._adopting.done():
            self._adopting.set_result(None)

    async def ask_gateways(
        self, command: str, arguments: Mapping[str, Any] | Struct | None = None
    ) -> list[Any]:
        """Ask all gateways the same and return what those say that answer in time.

        Args:
            command: Of the gateways' table.
            arguments: What it takes.
        """
        asked = [
            member.conversation.ask(command, arguments, patience=_GATEWAY_PATIENCE)
            for member in self._members
            if member.role == "gateway"
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, Exception):
                log.debug("a gateway does not answer to %r: %s", command, answer)
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def in_flight(self, key: str) -> int:
        """Return how many requests the gateways have at a home, after each has taken over the last table.

        Args:
            key: What tells the home from others of its id.
        """
        told = await self.ask_gateways("in_flight")
        count = sum(int(each.get(key, 0)) for each in told)
        if len(told) < self.gateways:  # one does not answer: what it last said counts
            count = max(count, self.uses.in_flight(key))
        return count

    async def close(self) -> None:
        """Close the socket and all connections, and remove it."""
        if self._server is not None:
            self._server.close()
        await self.commands.close()
        for member in tuple(self._members):
            member.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def join(self, member: _Member) -> None:
        """Count a client that has said who it is."""
        self._members.add(member)
        if member.role == "gateway":
            self._on_gateways(self.gateways)
        member.tell_table()

    def part(self, member: _Member) -> None:
        """Forget a client that is gone."""
        self._members.discard(member)
        self.uses.forget(member, asyncio.get_running_loop().time())
        self.note_adopted()
        if member.role == "gateway":
            self._on_gateways(self.gateways)

    async def answer(self, member: _Member, question: EnsureReady) -> None:
        """Wait for a home on behalf of a client."""
        try:
            view = await self._ensure_ready(question.home)
        except ModelUnavailable as exc:
            member.send(IsUnavailable(question.call, exc.message, exc.retry_after))
        else:
            member.send(IsReady(question.call, view))

    def status(self, call: int) -> Status:
        """Return what an operator may know."""
        return Status(call, self.table.generation, self.gateways, self._status())


class _Member(asyncio.Protocol):
    """One connection to the supervisor."""

    def __init__(self, server: ControlServer) -> None:
        self.role = ""
        self._told = self._adopted = -1
        self.conversation = Conversation(server.commands, self.send, _GATEWAY_GONE)
        self._server = server
        self._reader = FrameReader(msgspec.msgpack.Decoder(ToSupervisor))
        self._encoder = msgspec.msgpack.Encoder()
        self._transport: asyncio.Transport | None = None
        self._waiting: set[asyncio.Task[None]] = set()
        self._congested = False
        self._outdated = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                self._handle(frame)
        except (FrameTooLarge, msgspec.MsgspecError, ValueError, RecursionError) as exc:
            log.warning("cut off a client that breaks the protocol: %s", exc)
            if self._transport is not None:
                self._transport.abort()

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False
        if self._outdated:
            self.tell_table()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for task in self._waiting:
            task.cancel()
        self.conversation.end()
        self._server.part(self)

    @property
    def is_behind(self) -> bool:
        """Return whether it is a gateway that works with an older generation."""
        return self.role == "gateway" and self._adopted != self._server.table.generation

    def tell_table(self) -> None:
        """Send the newest table, now or as soon as the client reads."""
        self._outdated = self._congested
        if self._congested:
            return
        server, config = self._server, None
        if self.role == "gateway" and self._told != server.table.generation:
            self._told, config = server.table.generation, server.config
        self.send(Table(server.table, config))

    def send(self, frame: msgspec.Struct) -> None:
        """Send one frame, if the client is still there."""
        if self._transport is not None:
            self._transport.write(encode_frame(frame, self._encoder))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _handle(self, frame: Any) -> None:
        if isinstance(frame, Join):
            if self.role:
                raise ValueError("Join twice")
            self.role = frame.role
            self._server.join(self)
        elif not self.role:
            raise ValueError(f"{type(frame).__name__} before Join")
        elif isinstance(frame, EnsureReady):
            task = asyncio.create_task(self._server.answer(self, frame))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)
        elif isinstance(frame, Used):
            now = asyncio.get_running_loop().time()
            self._server.uses.hear(self, frame.homes, now)
        elif isinstance(frame, Adopted):
            self._adopted = frame.generation
            self._server.note_adopted()
        elif isinstance(frame, AskStatus):
            self.send(self._server.status(frame.call))
        else:
            self.conversation.hear(frame)
