"""What the supervisor and those who ask it say to each other, as frames like a worker's."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from hoonify_router.config import Config
from hoonify_router.types import Health, HomeView, RoutingTable

Role = Literal["gateway", "cli"]


class Join(Struct, tag="join"):
    """First frame of a client; a ``gateway`` counts as an open door, a command line does not."""

    role: Role
    pid: int = 0


class EnsureReady(Struct, tag="ensure_ready"):
    """Start the home if need be, answer when it is ready or cannot be."""

    call: int
    home: str


class AskStatus(Struct, tag="ask_status"):
    """Tell more about the homes than gateways need."""

    call: int


class Used(Struct, tag="used"):
    """How much a gateway has used homes, of those where that has changed since it last told.

    Told at once after each table, so that it says what the gateway has done by the table before; and then
    every second, where there is news.

    Args:
        homes: By home: requests that are there now, and requests that have ever gone there.
    """

    homes: dict[str, tuple[int, int]]


class Table(Struct, tag="table"):
    """The newest routing table; sent at once to who joins, then at every change.

    Args:
        table: It.
        config: The configuration of its generation, to a gateway that has not been told yet.
    """

    table: RoutingTable
    config: Config | None = None


class Adopted(Struct, tag="adopted"):
    """A gateway has taken over a generation: whatever it begins from now on goes to that one's homes."""

    generation: int


class IsReady(Struct, tag="is_ready"):
    """The home of call ``call`` is ready."""

    call: int
    home: HomeView


class IsUnavailable(Struct, tag="is_unavailable"):
    """The home of call ``call`` cannot be ready, or not soon."""

    call: int
    message: str
    retry_after: float | None = None


class HomeStatus(Struct, omit_defaults=True):
    """One home for an operator's eyes; no secret is in it.

    Args:
        home: What gateways know, without its key.
        pid: The engine's process.
        starts: How often it has been started.
        uptime: Seconds since it came into its state.
        health: What its engine last told.
    """

    home: HomeView
    pid: int = 0
    starts: int = 0
    uptime: float = 0.0
    health: Health = field(default_factory=Health)


class Status(Struct, tag="status"):
    """The answer to ``AskStatus``."""

    call: int
    generation: int
    gateways: int
    homes: list[HomeStatus]


class Ask(Struct, tag="ask"):
    """Do something and answer; either side may ask the other.

    Args:
        call: A number that the asker chooses.
        command: A name of the other side's table.
        arguments: What the command takes.
        who: Who wants it: ``user ada``, ``key k_1234``.
    """

    call: int
    command: str
    arguments: dict[str, Any] = {}
    who: str = ""


class Noted(Struct, tag="noted"):
    """A line about call ``call``, which is under way."""

    call: int
    text: str


class Told(Struct, tag="told"):
    """The answer to an ``Ask``; ``content`` is msgpack within msgpack."""

    call: int
    content: bytes


class Refused(Struct, tag="refused"):
    """What was asked cannot be done; ``kind`` is the name of one of our error classes."""

    call: int
    kind: str
    message: str
    param: str | None = None
    retry_after: float | None = None


ToSupervisor = Join | Adopted | EnsureReady | AskStatus | Used | Ask | Noted | Told | Refused
FromSupervisor = Table | IsReady | IsUnavailable | Status | Ask | Noted | Told | Refused
