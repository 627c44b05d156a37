"""What the supervisor and those who ask it say to each other, as frames like a worker's."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

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


class Table(Struct, tag="table"):
    """The newest routing table; sent at once to who joins, then at every change."""

    table: RoutingTable


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


ToSupervisor = Join | EnsureReady | AskStatus
FromSupervisor = Table | IsReady | IsUnavailable | Status
