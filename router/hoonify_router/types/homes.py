"""Homes as all parts of the router see them: what an engine can do, how it does, where it is."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from hoonify_router.discretion import Discreet
from hoonify_router.types.chat import Task


class Capabilities(Struct, omit_defaults=True):
    """What a loaded engine can do, told once it is ready.

    Args:
        parameters: Names of the request fields that it honours; the router refuses any other that a
            client sets, except those that change no token.
        context_length: Tokens that prompt and answer may take together.
        slots: Requests that it can run at once; more wait in its queue.
        device: Where it really runs, such as ``cpu`` or ``cuda:0 (NVIDIA H200)``.
        details: Facts for an operator's eyes: execution provider, precision, parameter count.
        tasks: What it may be asked for: ``chat``, ``completion``, ``embedding``.
        images: Whether it sees images; where it does not say, the catalog's word counts alone.
    """

    parameters: frozenset[str]
    context_length: int
    slots: int = 1
    device: str = "unknown"
    memory_bytes: int = 0
    details: dict[str, str] = {}
    tasks: frozenset[Task] = frozenset({"chat"})
    images: bool | None = None


class Health(Struct, omit_defaults=True):
    """How an engine is doing. ``step_age`` is seconds since its last step while work is pending, else 0."""

    running: int = 0
    queued: int = 0
    step_age: float = 0.0


HomeState = Literal["stopped", "starting", "loading", "ready", "draining", "failed", "unavailable"]


class HomeView(Discreet, Struct, omit_defaults=True, frozen=True):
    """One home as the supervisor publishes it to the gateways.

    Args:
        id: Stable name within a generation, ``MODEL`` or ``MODEL/INDEX``.
        model: Catalog ID that it serves.
        backend: Name of the backend.
        kind: How it is spoken to: frames over a unix socket, or an OpenAI-compatible HTTP server.
        state: Where it is in its life. ``unavailable`` cannot run here at all: an engine, a GPU or a file is missing.
        address: Socket path (``worker``) or base URL (``server``); empty unless it can be reached.
        served_name: The model name that the engine itself expects (``server`` only).
        api_key: The engine's own key (``server`` only); never shown.
        reason: Why it cannot serve now, one plain sentence that clients may read: no path, no address.
        detail: The same for operators' eyes only: last lines of stderr, paths, what to do.
        retry_after: Seconds until another try makes sense.
        progress: ``(stage, done, total)`` while loading.
        capabilities: Told by the engine once ready.
        starts: How often its engine has been started.
        load_seconds: How long its last start took until it was ready.
        uid: Which very home this is: the one that takes its place under the same id has another.
        moving: Whether another home is about to take its place, so that requests wait for that one.
        held: Whether an operator keeps it out of service; then no request starts it.
        shadow: Whether it is no home of its model's, but a candidate that gets copies of requests.
    """

    id: str
    model: str
    backend: str
    kind: Literal["worker", "server"]
    state: HomeState
    address: str = ""
    served_name: str = ""
    api_key: str = ""
    weight: int = 1
    always: bool = True
    reason: str = ""
    detail: str = ""
    retry_after: float | None = None
    progress: tuple[str, int, int] | None = None
    capabilities: Capabilities | None = None
    starts: int = 0
    load_seconds: float | None = None
    uid: str = ""
    moving: bool = False
    held: bool = False
    shadow: bool = False

    @property
    def key(self) -> str:
        """Return what tells it from every other home that is, was or will be."""
        return self.uid or self.id


class RoutingTable(Struct, omit_defaults=True, frozen=True):
    """All homes of one configuration generation, replaced as a whole, never changed.

    Args:
        generation: Which; each change of the configuration that takes effect has the next number.
        homes: The homes.
        reloads: How many reloads had which result.
    """

    generation: int
    homes: tuple[HomeView, ...]
    reloads: dict[str, int] = {}
